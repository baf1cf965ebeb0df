/**
 * QMP, QEMU's machine protocol: one JSON object a line over a Unix socket.
 *
 *   server: {"QMP": {"version": ..., "capabilities": []}}                          greeting
 *   client: {"execute": "qmp_capabilities"}            -> {"return": {}}           before anything else
 *   client: {"execute": NAME, "arguments": {}, "id": 1} -> {"return": ..., "id": 1}
 *                                                       or {"error": {"class", "desc"}, "id": 1}
 *   server: {"event": NAME, "data": {}, "timestamp": {"seconds", "microseconds"}}  at any time after negotiation
 */

export type JsonObject = { readonly [key: string]: unknown };

export interface QmpGreeting {
  readonly QMP: {
    readonly version: {
      readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number };
      readonly package: string;
    };
    readonly capabilities: readonly string[];
  };
}

export interface QmpTimestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

export interface QmpEvent {
  readonly event: string;
  readonly data?: JsonObject;
  readonly timestamp: QmpTimestamp;
}

export type QmpErrorClass = 'GenericError' | 'CommandNotFound' | 'DeviceNotFound' | 'DeviceNotActive';

/** A command that the other side refused: `desc` is the one clear line. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  readonly errorClass: QmpErrorClass;

  constructor(errorClass: QmpErrorClass, desc: string) {
    super(desc);
    this.errorClass = errorClass;
  }
}

/** Limits for a hostile peer, in one place. */
export const QMP_LIMITS = {
  /** Longest line taken, bytes; the connection is closed beyond it. */
  maxLineBytes: 1024 * 1024,
  maxClients: 16,
  /** Events or replies waiting for a client that does not read; it is dropped beyond this. */
  maxBacklogBytes: 8 * 1024 * 1024,
} as const;

/** Cuts a byte stream into lines, with a bound on a line's length. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number = QMP_LIMITS.maxLineBytes) {
    this.#maxBytes = maxBytes;
  }

  /** @returns the lines completed by `chunk`, or null when the line limit was passed. */
  push(chunk: Buffer): string[] | null {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10, start); end >= 0; end = chunk.indexOf(10, start)) {
      if (this.#bytes + (end - start) > this.#maxBytes) return null;
      this.#parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(this.#parts).toString('utf8').trim();
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
      if (line.length > 0) lines.push(line);
    }
    this.#bytes += chunk.length - start;
    if (this.#bytes > this.#maxBytes) return null;
    if (start < chunk.length) this.#parts.push(Buffer.from(chunk.subarray(start)));
    return lines;
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function timestampOf(dateMs: number): QmpTimestamp {
  const seconds = Math.floor(dateMs / 1000);
  return { seconds, microseconds: Math.round((dateMs - seconds * 1000) * 1000) };
}
