/**
 * What can end a migration, a class per kind. A message says what was wrong, where, and what to do about it.
 * Errors cross worker boundaries by `toPlainError` and `fromPlainError`, which keep the class.
 */

/** Any failure of a migration. */
export class MigrationError extends Error {
  override readonly name: string = 'MigrationError';
}

/** The link to the other side failed: refused, reset, closed early. */
export class ChannelError extends MigrationError {
  override readonly name = 'ChannelError';
}

/** An address that is none: `--to` and `--listen` take tcp:HOST:PORT, unix:PATH or file:PATH. */
export class AddressError extends MigrationError {
  override readonly name = 'AddressError';
}

/** Bytes that are no stream of ours, or one that was damaged on the way. */
export class StreamFormatError extends MigrationError {
  override readonly name = 'StreamFormatError';
}

/** A well-formed frame at a moment when the protocol has no place for it. */
export class ProtocolError extends MigrationError {
  override readonly name = 'ProtocolError';
}

export type RefusalReason =
  | 'protocol-version'
  | 'image'
  | 'plugin'
  | 'memory'
  | 'nic'
  | 'no-free-vf'
  | 'busy'
  | 'other';

/** The destination said no before a page was sent. */
export class MigrationRefusedError extends MigrationError {
  override readonly name = 'MigrationRefusedError';
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export class MigrationCancelledError extends MigrationError {
  override readonly name = 'MigrationCancelledError';
}

/** A step did not come back within its limit. */
export class MigrationTimeoutError extends MigrationError {
  override readonly name = 'MigrationTimeoutError';
}

/** `--verify` found bytes at the destination that differ from the source. */
export class VerifyError extends MigrationError {
  override readonly name = 'VerifyError';
}

/** The other side gave up and said why. */
export class PeerAbortedError extends MigrationError {
  override readonly name = 'PeerAbortedError';
}

/** After COMMIT nothing was heard: the destination may or may not run the VM; this side will not. */
export class OutcomeUnknownError extends MigrationError {
  override readonly name = 'OutcomeUnknownError';
}

/** A migration parameter that does not exist or a value it cannot take. */
export class ParameterError extends MigrationError {
  override readonly name = 'ParameterError';
}

export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly reason?: RefusalReason;
}

const classes: Readonly<Record<string, new (message: string) => MigrationError>> = {
  MigrationError,
  ChannelError,
  AddressError,
  StreamFormatError,
  ProtocolError,
  MigrationCancelledError,
  MigrationTimeoutError,
  VerifyError,
  PeerAbortedError,
  OutcomeUnknownError,
  ParameterError,
};

export function toPlainError(error: unknown): PlainError {
  if (error instanceof MigrationRefusedError) {
    return { name: error.name, message: error.message, reason: error.reason };
  }
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: 'Error', message: String(error) };
}

export function fromPlainError(plain: PlainError): Error {
  if (plain.name === 'MigrationRefusedError')
    return new MigrationRefusedError(plain.reason ?? 'other', plain.message);
  const known = classes[plain.name];
  if (known) return new known(plain.message);
  return new MigrationError(`${plain.name}: ${plain.message}`);
}

/** The sentence of any thrown value. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
