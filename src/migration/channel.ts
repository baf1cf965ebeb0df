/**
 * A channel: bytes to the other side and bytes from it, in order, with back-pressure. Three methods; TCP and Unix sockets
 * and files stand behind them, and in tests whatever a fault needs.
 *
 *   tcp:HOST:PORT    unix:PATH    file:PATH
 */
import { AddressError, type ChannelError } from './errors.js';

/** Takes what a channel delivers, into its own buffer. */
export interface ByteSink {
  /** Where the next bytes go. Never empty. */
  space(): Buffer;
  /**
   * So many bytes were put there. A promise means that the sink can take no more until then: a channel without a peer
   * that would wait (a file) waits for it.
   */
  filled(bytes: number): void | Promise<void>;
  /** Nothing more comes: the peer closed (null) or the link failed. Called once. */
  ended(error: ChannelError | null): void;
}

export interface Channel {
  /**
   * Sends all of `bytes`, in the order of calls. Resolves when the buffer may be used again; rejects with ChannelError
   * when the link is gone. Not waiting for it is allowed: bytes queue.
   */
  send(bytes: Uint8Array): Promise<void>;
  /** From now on delivers into `sink`. Called once. */
  receive(sink: ByteSink): void;
  /** Lets go of the link; what was sent before still goes out, for a bounded time. Idempotent, never rejects. */
  close(): Promise<void>;
}

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string };

/** Reads tcp:HOST:PORT (HOST may be empty or [IPv6]), unix:PATH or file:PATH. */
export function parseAddress(spec: string): Address {
  const colon = spec.indexOf(':');
  const scheme = colon < 0 ? '' : spec.slice(0, colon);
  const rest = spec.slice(colon + 1);
  if (scheme === 'unix' || scheme === 'file') {
    if (rest === '') throw new AddressError(`"${spec}" names no path: write ${scheme}:PATH`);
    return { kind: scheme, path: rest };
  }
  if (scheme !== 'tcp') {
    throw new AddressError(`"${spec}" is no migration address: write tcp:HOST:PORT, unix:PATH or file:PATH`);
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(rest);
  const port = match ? Number(match[3]) : Number.NaN;
  if (!match || port > 65535) throw new AddressError(`"${spec}" is no TCP address: write tcp:HOST:PORT`);
  return { kind: 'tcp', host: match[1] ?? (match[2] || '127.0.0.1'), port };
}

export function formatAddress(address: Address): string {
  if (address.kind !== 'tcp') return `${address.kind}:${address.path}`;
  return `tcp:${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
