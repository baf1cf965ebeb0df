/**
 * One thread at a time: whose turn it is among the threads of an exploration, in shared memory. A thread may lose its turn at
 * each point that it passes; who goes on is drawn from one seed, so that the same seed is the same interleaving. Time is
 * virtual: it passes a little at each point, and jumps to the next deadline when everybody waits.
 *
 *   point --> keeps its turn, mostly
 *         --> hands it to another that could go on
 *   wait  --> hands it on, until it is notified or its time is over
 *   nobody could go on, and no deadline is near --> over
 */

const MAX_ACTORS = 8;
/** Of an actor: 0 is its blocking wait, the others are what its event loop waits for. */
const SLOTS = 6;
const WORD = {
  over: 0,
  random: 1,
  threshold: 2,
  points: 3,
  limit: 4,
  hash: 5,
  actors: 6,
  sequence: 7,
  pointNs: 8,
  watchers: 9,
} as const;
const GATES = 16;
/** What an actor is blocked on: a bit for each of its slots; 0: it could go on. */
const BLOCKED = GATES + MAX_ACTORS;
const WEIGHTS = BLOCKED + MAX_ACTORS;
/** Of each slot: SLOT, and the order in which they began to wait. */
const STATES = WEIGHTS + MAX_ACTORS;
const SEQUENCES = STATES + MAX_ACTORS * SLOTS;
const WORDS = (SEQUENCES + MAX_ACTORS * SLOTS + 1) & ~1;
const SLOT = { free: 0, waiting: 1, notified: 2, timedOut: 3 } as const;
const ENDED = -1;
/** Doubles after the words: the time, then address and deadline of each slot. */
const DOUBLES = 1 + 2 * MAX_ACTORS * SLOTS;

/** Why it is over. */
export const OVER = { no: 0, quiet: 1, limit: 2 } as const;
/** A time-out as long as this is there in case a wake-up was lost: here none may be. */
const LONG_NS = 10_000_000;

const real = { ...realAtomics() };
function realAtomics() {
  const { load, store, notify, wait } = Atomics;
  return { load, store, notify, wait };
}

/** Unwinds whatever a thread was doing when the exploration was over. */
export class RunOver extends Error {
  override readonly name = 'RunOver';
}

export interface TurnstileOptions {
  readonly seed: number;
  readonly actors: number;
  /** How likely a point is to be a turn's last, 0 to 1. */
  readonly chance: number;
  readonly maxPoints: number;
  /** That pass from one point to the next. */
  readonly pointNs: number;
  /** How often each actor is drawn, against the others. */
  readonly weights: readonly number[];
}

export function createTurnstile(options: TurnstileOptions): SharedArrayBuffer {
  const { seed, actors, chance, maxPoints, pointNs, weights } = options;
  const buffer = new SharedArrayBuffer(WORDS * 4 + DOUBLES * 8);
  const words = new Int32Array(buffer, 0, WORDS);
  words[WORD.random] = seed;
  words[WORD.threshold] = Math.floor(chance * 2 ** 31);
  words[WORD.limit] = maxPoints;
  words[WORD.actors] = actors;
  words[WORD.pointNs] = pointNs;
  for (let actor = 0; actor < actors; actor++) words[WEIGHTS + actor] = weights[actor] ?? 1;
  return buffer;
}

const watched = (address: number): number => -1 - address;

export class Turnstile {
  readonly #me: number;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor(buffer: SharedArrayBuffer, me: number) {
    this.#me = me;
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#doubles = new Float64Array(buffer, WORDS * 4, DOUBLES);
  }

  get nowNs(): number {
    return this.#doubles[0]!;
  }

  get over(): number {
    return real.load(this.#words, WORD.over);
  }

  get points(): number {
    return this.#words[WORD.points]!;
  }

  /** Of who had the turn, and when it changed. */
  get hash(): number {
    return this.#words[WORD.hash]!;
  }

  /** From outside: lets the first actor go. */
  begin(): void {
    this.#open(0);
  }

  /** The actor's first turn. */
  enter(): void {
    this.#close();
  }

  /** Uniform over 0..2^31-1, from the exploration's one stream. Only whose turn it is may ask. */
  random(): number {
    const words = this.#words;
    words[WORD.random] = (words[WORD.random]! + 0x6d2b79f5) | 0;
    let t = words[WORD.random]!;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 1;
  }

  /** The turn may change here, before the word is looked at or changed. @throws RunOver */
  point(address: number): void {
    const words = this.#words;
    if (words[WORD.watchers] !== 0) this.notify(watched(address), Infinity);
    if (real.load(words, WORD.over) !== OVER.no) throw new RunOver();
    if (++words[WORD.points]! > words[WORD.limit]!) this.#end(OVER.limit);
    this.#doubles[0]! += words[WORD.pointNs]!;
    if (this.random() < words[WORD.threshold]!) this.#handOn();
  }

  /** Blocks the thread. @throws RunOver */
  wait(address: number, limitNs: number): 'ok' | 'timed-out' {
    const slot = this.#me * SLOTS;
    this.#begin(slot, address, limitNs);
    this.#words[BLOCKED + this.#me] = 1;
    this.#handOn();
    return this.#finish(slot);
  }

  /** Blocks the thread until another is about to touch a word: it may then do what it does just before. @throws RunOver */
  watch(address: number, limitNs: number): void {
    this.#words[WORD.watchers]!++;
    this.wait(watched(address), limitNs);
    this.#words[WORD.watchers]!--;
  }

  /** Begins to wait without blocking; `block` does. */
  waitAsync(address: number, limitNs: number): number {
    for (let index = 1; index < SLOTS; index++) {
      const slot = this.#me * SLOTS + index;
      if (this.#words[STATES + slot] !== SLOT.free) continue;
      this.#begin(slot, address, limitNs);
      return slot;
    }
    throw new Error(`more than ${SLOTS - 1} waits of one event loop`);
  }

  /** What became of a wait; null: nothing yet. */
  outcome(slot: number): 'ok' | 'timed-out' | null {
    this.#expire();
    return this.#words[STATES + slot] === SLOT.waiting ? null : this.#finish(slot);
  }

  /** Until something that was begun with `waitAsync` is over. @throws RunOver */
  block(): void {
    this.#words[BLOCKED + this.#me] = ((1 << SLOTS) - 1) & ~1;
    this.#handOn();
  }

  notify(address: number, most: number): number {
    const words = this.#words;
    let woken = 0;
    for (; woken < most; woken++) {
      let first = -1;
      for (let slot = 0; slot < MAX_ACTORS * SLOTS; slot++) {
        if (words[STATES + slot] !== SLOT.waiting || this.#doubles[1 + 2 * slot] !== address) continue;
        if (first < 0 || words[SEQUENCES + slot]! < words[SEQUENCES + first]!) first = slot;
      }
      if (first < 0) break;
      this.#release(first, SLOT.notified);
    }
    return woken;
  }

  /** The actor has nothing more to do. */
  leave(): void {
    if (this.over !== OVER.no) return;
    this.#words[BLOCKED + this.#me] = ENDED;
    const next = this.#next();
    if (next >= 0) this.#open(next);
    else this.#overForAll(OVER.quiet);
  }

  #begin(slot: number, address: number, limitNs: number): void {
    const words = this.#words;
    words[STATES + slot] = SLOT.waiting;
    words[SEQUENCES + slot] = ++words[WORD.sequence]!;
    this.#doubles[1 + 2 * slot] = address;
    this.#doubles[2 + 2 * slot] = this.nowNs + limitNs;
  }

  #finish(slot: number): 'ok' | 'timed-out' {
    const state = this.#words[STATES + slot];
    this.#words[STATES + slot] = SLOT.free;
    return state === SLOT.notified ? 'ok' : 'timed-out';
  }

  #release(slot: number, state: number): void {
    this.#words[STATES + slot] = state;
    const actor = Math.floor(slot / SLOTS);
    const blocked = this.#words[BLOCKED + actor]!;
    if (blocked !== ENDED && (blocked & (1 << (slot % SLOTS))) !== 0) this.#words[BLOCKED + actor] = 0;
  }

  #expire(): void {
    for (let slot = 0; slot < MAX_ACTORS * SLOTS; slot++) {
      if (this.#words[STATES + slot] === SLOT.waiting && this.#doubles[2 + 2 * slot]! <= this.nowNs)
        this.#release(slot, SLOT.timedOut);
    }
  }

  #handOn(): void {
    const next = this.#next();
    if (next < 0) this.#end(OVER.quiet);
    if (next === this.#me) return;
    const words = this.#words;
    words[WORD.hash] = Math.imul(words[WORD.hash]! ^ (words[WORD.points]! * 8 + next), 0x9e37_79b1);
    this.#open(next);
    this.#close();
  }

  /** Who could go on, drawn by weight; time passes when nobody could. -1: nobody will. */
  #next(): number {
    const words = this.#words;
    const actors = words[WORD.actors]!;
    for (;;) {
      this.#expire();
      let total = 0;
      for (let actor = 0; actor < actors; actor++)
        if (words[BLOCKED + actor] === 0) total += words[WEIGHTS + actor]!;
      if (total > 0) {
        let left = this.random() % total;
        for (let actor = 0; actor < actors; actor++) {
          if (words[BLOCKED + actor] === 0 && (left -= words[WEIGHTS + actor]!) < 0) return actor;
        }
      }
      const dueNs = this.#dueNs();
      if (dueNs - this.nowNs >= LONG_NS) return -1;
      this.#doubles[0] = dueNs;
    }
  }

  #dueNs(): number {
    let dueNs = Infinity;
    for (let slot = 0; slot < MAX_ACTORS * SLOTS; slot++) {
      if (this.#words[STATES + slot] === SLOT.waiting) dueNs = Math.min(dueNs, this.#doubles[2 + 2 * slot]!);
    }
    return dueNs;
  }

  #open(actor: number): void {
    real.store(this.#words, GATES + actor, 1);
    real.notify(this.#words, GATES + actor);
  }

  /** Until the turn is this actor's. */
  #close(): void {
    const gate = GATES + this.#me;
    while (real.load(this.#words, gate) === 0) real.wait(this.#words, gate, 0);
    real.store(this.#words, gate, 0);
    if (this.over !== OVER.no) throw new RunOver();
  }

  #end(why: number): never {
    this.#overForAll(why);
    throw new RunOver();
  }

  #overForAll(why: number): void {
    real.store(this.#words, WORD.over, why);
    for (let actor = 0; actor < MAX_ACTORS; actor++) this.#open(actor);
  }
}
