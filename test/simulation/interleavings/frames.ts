/**
 * Frames that tell where they come from, which of their stream they are, and whether they are whole.
 *
 *   Ethernet header | sender | receiver (0: all) | number, 4 bytes | length, 2 bytes | bytes that follow from these
 */
import { MAC_LOW, macHighOf } from './scene.js';

const HEADER_BYTES = 14;
const FIXED_BYTES = HEADER_BYTES + 8;
export const LONGEST_BYTES = 400;
export const TO_ALL = 0;

export interface Sent {
  readonly from: number;
  readonly to: number;
  readonly number: number;
}

/** Stations count from 1. Returns the length. */
export function writeFrame(into: Uint8Array, { from, to, number }: Sent, bytes: number): number {
  const length = Math.max(60, Math.min(LONGEST_BYTES, bytes));
  const view = new DataView(into.buffer, into.byteOffset);
  if (to === TO_ALL) into.fill(0xff, 0, 6);
  else writeStation(view, 0, to);
  writeStation(view, 6, from);
  view.setUint16(12, 0x88b5);
  view.setUint8(14, from);
  view.setUint8(15, to);
  view.setUint32(16, number, true);
  view.setUint16(20, length, true);
  for (let at = FIXED_BYTES; at < length; at++) into[at] = patternAt(from, to, number, at);
  return length;
}

function writeStation(view: DataView, at: number, station: number): void {
  view.setUint32(at, MAC_LOW, true);
  view.setUint16(at + 4, macHighOf(station), true);
}

const patternAt = (from: number, to: number, number: number, at: number): number =>
  (from * 31 + to * 57 + number * 7 + at * 13) & 0xff;

/** Null: it is not whole. */
export function readFrame(bytes: Uint8Array): Sent | null {
  if (bytes.length < FIXED_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sent = { from: view.getUint8(14), to: view.getUint8(15), number: view.getUint32(16, true) };
  if (view.getUint16(20, true) !== bytes.length) return null;
  for (let at = FIXED_BYTES; at < bytes.length; at++) {
    if (bytes[at] !== patternAt(sent.from, sent.to, sent.number, at)) return null;
  }
  return sent;
}

/** What a station got: every stream in order, nothing twice, nothing torn. */
export class Inbox {
  readonly complaints: string[] = [];
  /** Frames by stream, "from>to". */
  readonly streams: Record<string, number> = {};
  /** Frames may be lost on purpose: only their order counts. */
  readonly #mayMiss: boolean;
  readonly #name: string;

  constructor(name: string, mayMiss: boolean) {
    this.#name = name;
    this.#mayMiss = mayMiss;
  }

  take(bytes: Uint8Array): void {
    const sent = readFrame(bytes);
    if (sent === null) {
      this.complaints.push(`${this.#name} got a frame of ${bytes.length} bytes that is not whole`);
      return;
    }
    const stream = `${sent.from}>${sent.to}`;
    const next = this.streams[stream] ?? 0;
    if (sent.number < next || (sent.number > next && !this.#mayMiss))
      this.complaints.push(`${this.#name} got frame ${sent.number} of ${stream}, and waited for ${next}`);
    this.streams[stream] = sent.number + 1;
  }
}

/** What a station sent, by stream. */
export class Outbox {
  readonly streams: Record<string, number> = {};
  readonly #from: number;

  constructor(from: number) {
    this.#from = from;
  }

  next(to: number): Sent {
    const stream = `${this.#from}>${to}`;
    const number = this.streams[stream] ?? 0;
    this.streams[stream] = number + 1;
    return { from: this.#from, to, number };
  }
}
