/**
 * The small records of the protocol, as CBOR maps. Decoders are strict: exactly the known fields, each of its type and
 * within its bound.
 *
 *   source -> destination   hello (Offer), end, commit, abort
 *   destination -> source   accept, refuse, prepared, ready, running, abort
 */
import { Encoder } from 'cbor-x';
import { type RefusalReason, StreamFormatError } from '../errors.js';
import { checkCbor } from './cbor-guard.js';

export interface PluginOffer {
  readonly name: string;
  readonly version: string;
  readonly options: Readonly<Record<string, string>>;
}

/** What the source asks of the destination: enough to refuse, and enough to build the VM. */
export interface Offer {
  readonly protocol: number;
  readonly vmName: string;
  readonly imageName: string;
  /** Content hash of the rewritten builds: both ends must run the same. */
  readonly imageKey: string;
  readonly ramBytes: number;
  /** Model of the NIC whose VFs are passed through; null without a VF. */
  readonly nicModel: string | null;
  readonly vfCount: number;
  readonly plugin: PluginOffer | null;
  /** What the VM layer wants the destination to know before it builds the VM (command line, addresses). Opaque. */
  readonly machine: Uint8Array;
  readonly verify: boolean;
  /** False when the VM was paused by its user. */
  readonly startRunning: boolean;
}

export interface RefuseRecord {
  readonly reason: RefusalReason;
  readonly message: string;
}

export interface VerifyVerdict {
  readonly pagesCompared: number;
  readonly pagesDiffering: number;
  /** Page frame numbers, the first MAX_NAMED_PAGES of them. */
  readonly differing: readonly number[];
}

export interface ReadyRecord {
  readonly verdict: VerifyVerdict | null;
  readonly restoreMs: number;
  readonly prepareWaitMs: number;
}

export interface RunningRecord {
  readonly activateMs: number;
  /** The destination's monotonic clock at its first guest instruction; comparable on one machine only. */
  readonly runningAtNs: number;
}

export interface AbortRecord {
  readonly message: string;
}

export const MAX_NAMED_PAGES = 256;
const MAX_TEXT_BYTES = 1024;
const MAX_MACHINE_BYTES = 32 * 1024;

// plain CBOR maps: no shared structures, no tags, so that the guard's reading is the decoder's
const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  variableMapSize: true,
});

export function encodeRecord(record: object): Buffer {
  return codec.encode(record) as Buffer;
}

/** Reads one map field by field; whatever is not asked for is an error at the end. */
class FieldReader {
  readonly #what: string;
  readonly #fields: Map<string, unknown>;

  constructor(what: string, bytes: Uint8Array) {
    this.#what = what;
    checkCbor(bytes);
    let decoded: unknown;
    try {
      decoded = codec.decode(Buffer.from(bytes));
    } catch (error) {
      throw new StreamFormatError(`migration stream: ${what} record cannot be decoded: ${String(error)}`);
    }
    this.#fields = new Map(Object.entries(this.#plainObject(decoded, what)));
  }

  text(name: string, maxLength = MAX_TEXT_BYTES): string {
    const value = this.#take(name);
    if (typeof value !== 'string' || value.length > maxLength)
      throw this.#bad(name, `text of at most ${maxLength}`);
    return value;
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      throw this.#bad(name, `a whole number in ${min}..${max}`);
    }
    return value;
  }

  number(name: string): number {
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#bad(name, 'a number');
    return value;
  }

  flag(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== 'boolean') throw this.#bad(name, 'true or false');
    return value;
  }

  bytes(name: string, maxBytes: number): Uint8Array {
    const value = this.#take(name);
    if (!(value instanceof Uint8Array) || value.length > maxBytes) {
      throw this.#bad(name, `bytes, at most ${maxBytes}`);
    }
    return Uint8Array.from(value);
  }

  integers(name: string, maxCount: number): number[] {
    const value = this.#take(name);
    if (
      !Array.isArray(value) ||
      value.length > maxCount ||
      !value.every((n) => Number.isSafeInteger(n) && n >= 0)
    ) {
      throw this.#bad(name, `at most ${maxCount} whole numbers`);
    }
    return value as number[];
  }

  nullOr<T>(name: string, read: () => T): T | null {
    if (this.#fields.get(name) !== null) return read();
    this.#fields.delete(name);
    return null;
  }

  object(name: string): Record<string, unknown> {
    return this.#plainObject(this.#take(name), name);
  }

  texts(name: string, maxCount: number): Record<string, string> {
    const entries = Object.entries(this.object(name));
    if (
      entries.length > maxCount ||
      !entries.every(([, v]) => typeof v === 'string' && v.length <= MAX_TEXT_BYTES)
    ) {
      throw this.#bad(name, `at most ${maxCount} texts`);
    }
    return Object.fromEntries(entries) as Record<string, string>;
  }

  end(): void {
    const extra = [...this.#fields.keys()];
    if (extra.length > 0) {
      throw new StreamFormatError(
        `migration stream: ${this.#what} record has unknown fields: ${extra.slice(0, 4)}`,
      );
    }
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }

  #plainObject(value: unknown, name: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw this.#bad(name, 'a map');
    }
    return value as Record<string, unknown>;
  }

  #bad(name: string, wanted: string): StreamFormatError {
    return new StreamFormatError(`migration stream: ${this.#what} record: ${name} must be ${wanted}`);
  }
}

const MAX_RAM_BYTES = 2 ** 32;

export function decodeOffer(bytes: Uint8Array): Offer {
  const reader = new FieldReader('hello', bytes);
  const offer: Offer = {
    protocol: reader.integer('protocol', 0, 255),
    vmName: reader.text('vmName', 128),
    imageName: reader.text('imageName', 256),
    imageKey: reader.text('imageKey', 128),
    ramBytes: reader.integer('ramBytes', 0, MAX_RAM_BYTES),
    nicModel: reader.nullOr('nicModel', () => reader.text('nicModel', 64)),
    vfCount: reader.integer('vfCount', 0, 64),
    plugin: reader.nullOr('plugin', () => decodePluginOffer(reader.object('plugin'))),
    machine: reader.bytes('machine', MAX_MACHINE_BYTES),
    verify: reader.flag('verify'),
    startRunning: reader.flag('startRunning'),
  };
  reader.end();
  return offer;
}

function decodePluginOffer(fields: Record<string, unknown>): PluginOffer {
  const reader = new FieldReader('plugin', encodeRecord(fields));
  const plugin: PluginOffer = {
    name: reader.text('name', 128),
    version: reader.text('version', 64),
    options: reader.texts('options', 32),
  };
  reader.end();
  return plugin;
}

const REASONS: readonly string[] = [
  'protocol-version',
  'image',
  'plugin',
  'memory',
  'nic',
  'no-free-vf',
  'busy',
] satisfies RefusalReason[];

export function decodeRefuse(bytes: Uint8Array): RefuseRecord {
  const reader = new FieldReader('refuse', bytes);
  const reason = reader.text('reason', 64);
  const message = reader.text('message');
  reader.end();
  return { reason: REASONS.includes(reason) ? (reason as RefusalReason) : 'other', message };
}

export function decodeReady(bytes: Uint8Array): ReadyRecord {
  const reader = new FieldReader('ready', bytes);
  const ready: ReadyRecord = {
    verdict: reader.nullOr('verdict', () => decodeVerdict(reader.object('verdict'))),
    restoreMs: reader.number('restoreMs'),
    prepareWaitMs: reader.number('prepareWaitMs'),
  };
  reader.end();
  return ready;
}

function decodeVerdict(fields: Record<string, unknown>): VerifyVerdict {
  const reader = new FieldReader('verdict', encodeRecord(fields));
  const verdict: VerifyVerdict = {
    pagesCompared: reader.integer('pagesCompared', 0, 2 ** 31),
    pagesDiffering: reader.integer('pagesDiffering', 0, 2 ** 31),
    differing: reader.integers('differing', MAX_NAMED_PAGES),
  };
  reader.end();
  return verdict;
}

export function decodeRunning(bytes: Uint8Array): RunningRecord {
  const reader = new FieldReader('running', bytes);
  const running = { activateMs: reader.number('activateMs'), runningAtNs: reader.number('runningAtNs') };
  reader.end();
  return running;
}

export function decodeAbort(bytes: Uint8Array): AbortRecord {
  const reader = new FieldReader('abort', bytes);
  const message = reader.text('message');
  reader.end();
  return { message };
}

/** Cuts a sentence to what a record may carry. */
export const recordText = (text: string): string => text.slice(0, MAX_TEXT_BYTES);
