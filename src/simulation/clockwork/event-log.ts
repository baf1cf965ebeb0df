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
/** Time and four numbers. */
const NUMBERS_PER_EVENT = 5;
const TWO_32 = 4294967296;

export class EventLog {
  /** How many events are kept, and how many there is room for now. */
  readonly #limit: number;
  #room: number;
  #numbers: Float64Array;
  readonly #actors: string[] = [];
  readonly #whats: string[] = [];
  readonly #hashes = new Map<string, number>();
  #h1 = 0x243f6a88;
  #h2 = 0x85a308d3 | 0;
  #count = 0;

  constructor(options: EventLogOptions = {}) {
    const keep = options.keep ?? 'tail';
    this.#limit = keep === 'none' ? 0 : keep === 'tail' ? TAIL_EVENTS : Infinity;
    this.#room = Math.min(this.#limit, TAIL_EVENTS);
    this.#numbers = new Float64Array(this.#room * NUMBERS_PER_EVENT);
  }

  add(timeNs: number, actor: string, what: string, a = 0, b = 0, c = 0, d = 0): void {
    this.#mix(timeNs | 0, (timeNs / TWO_32) | 0);
    this.#mix(this.#hashOf(actor), this.#hashOf(what));
    this.#mix(a | 0, (a / TWO_32) | 0);
    if (b !== 0 || c !== 0 || d !== 0) {
      this.#mix(b | 0, (b / TWO_32) | 0);
      this.#mix(c | 0, d | 0);
    }
    if (this.#limit > 0) this.#keep(timeNs, actor, what, a, b, c, d);
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
    const events: SimEvent[] = [];
    for (let i = this.#count - Math.min(n, this.#count, this.#limit); i < this.#count; i++) {
      events.push(this.#event(i % this.#room));
    }
    return events;
  }

  /** Every event that was kept, oldest first. */
  all(): readonly SimEvent[] {
    return this.tail(Infinity);
  }

  #event(at: number): SimEvent {
    const [timeNs, a, b, c, d] = this.#numbers.subarray(at * NUMBERS_PER_EVENT, (at + 1) * NUMBERS_PER_EVENT);
    return { timeNs: timeNs!, actor: this.#actors[at]!, what: this.#whats[at]!, numbers: [a!, b!, c!, d!] };
  }

  #keep(timeNs: number, actor: string, what: string, a: number, b: number, c: number, d: number): void {
    if (this.#count === this.#room && this.#room < this.#limit) this.#grow();
    const at = this.#count % this.#room;
    this.#actors[at] = actor;
    this.#whats[at] = what;
    const numbers = this.#numbers;
    const first = at * NUMBERS_PER_EVENT;
    numbers[first] = timeNs;
    numbers[first + 1] = a;
    numbers[first + 2] = b;
    numbers[first + 3] = c;
    numbers[first + 4] = d;
  }

  #grow(): void {
    this.#room *= 2;
    const numbers = new Float64Array(this.#room * NUMBERS_PER_EVENT);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
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
