/**
 * What happened, in order. Every event goes into a hash over plain 32-bit arithmetic, so that two runs of one seed can be
 * held against each other on any machine; the events themselves are kept only on request.
 *
 * Actors are named `host/thread` (`source/engine`, `destination/main`) or by one word (`link`). The words that a trace
 * shows in ways of their own are in ../trace/words.ts.
 */
import { hashText } from './choices.js';

export interface SimEvent {
  readonly timeNs: number;
  readonly actor: string;
  readonly what: string;
  readonly numbers: readonly [number, number, number, number];
}

export interface EventLogOptions {
  /** none: the hash and the count only. tail: the last few thousand too. Default: tail. */
  readonly keep?: 'none' | 'tail' | 'all';
}

const TAIL_EVENTS = 4096;
const TWO_32 = 4294967296;

export class EventLog {
  /** Where the next event goes; null: it is not kept. */
  readonly #kept: SimEvent[] | null;
  readonly #capacity: number;
  readonly #hashes = new Map<string, number>();
  #h1 = 0x243f6a88;
  #h2 = 0x85a308d3 | 0;
  #count = 0;

  constructor(options: EventLogOptions = {}) {
    const keep = options.keep ?? 'tail';
    this.#kept = keep === 'none' ? null : [];
    this.#capacity = keep === 'all' ? Infinity : TAIL_EVENTS;
  }

  add(timeNs: number, actor: string, what: string, a = 0, b = 0, c = 0, d = 0): void {
    this.#mix(timeNs | 0, (timeNs / TWO_32) | 0);
    this.#mix(this.#hashOf(actor), this.#hashOf(what));
    this.#mix(a | 0, (a / TWO_32) | 0);
    if (b !== 0 || c !== 0 || d !== 0) {
      this.#mix(b | 0, (b / TWO_32) | 0);
      this.#mix(c | 0, d | 0);
    }
    const kept = this.#kept;
    if (kept !== null) {
      const event: SimEvent = { timeNs, actor, what, numbers: [a, b, c, d] };
      if (kept.length < this.#capacity) kept.push(event);
      else kept[this.#count % this.#capacity] = event;
    }
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  /** Of all events so far, 16 hexadecimal digits. */
  get hash(): string {
    const low = finish(this.#h1 ^ this.#count);
    const high = finish(this.#h2 ^ low);
    return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
  }

  /** The last events, oldest first; as many of n as were kept. */
  tail(n: number): readonly SimEvent[] {
    const kept = this.all();
    return kept.slice(Math.max(0, kept.length - n));
  }

  /** Every event that was kept, oldest first. */
  all(): readonly SimEvent[] {
    const kept = this.#kept ?? [];
    if (this.#count <= kept.length) return kept;
    const oldest = this.#count % kept.length;
    return [...kept.slice(oldest), ...kept.slice(0, oldest)];
  }

  #mix(x: number, y: number): void {
    const h1 = Math.imul(((this.#h1 << 5) | (this.#h1 >>> 27)) ^ x, 0x9e3779b1);
    const h2 = Math.imul(((this.#h2 << 13) | (this.#h2 >>> 19)) ^ y, 0x85ebca6b);
    this.#h1 = (h1 ^ (h2 >>> 15)) | 0;
    this.#h2 = (h2 + h1) | 0;
  }

  #hashOf(text: string): number {
    let hash = this.#hashes.get(text);
    if (hash === undefined) {
      hash = hashText(text) | 0;
      this.#hashes.set(text, hash);
    }
    return hash;
  }
}

/** The last rounds of murmur3: every bit of the word moves every other. */
function finish(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
