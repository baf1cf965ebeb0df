/**
 * One direction of a migration link: bytes in order, none lost, as TCP carries them.
 *
 *   write() --waiting--> segment --bandwidth--> left (write() resolves) --delay, jitter--> arrived --> deliver()
 *              '---- back-pressure: no more than `windowBytes` between left and taken by the receiver ----'
 *
 * Where segments begin and end is chance: they merge and cut what was written.
 */
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';

export interface PipeOptions {
  readonly bytesPerSecond: number;
  readonly delayNs: number;
  readonly jitterNs: number;
  readonly windowBytes: number;
  readonly maxSegmentBytes: number;
}

/** Where a pipe ends. */
export interface PipeMouth {
  /** Bytes arrived. What is not taken now stays in the window until taken() is called. */
  arrived(bytes: Uint8Array): void;
  /** Nothing comes after this: the other side closed. */
  finished(): void;
  /** The other side is gone. */
  reset(): void;
}

interface Write {
  readonly bytes: Uint8Array;
  at: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** One segment in so many is tiny. */
const TINY_CHANCE = 1 / 16;
const TINY_BYTES = 64;

export class BytePipe {
  /** Bytes that left the sender so far. */
  sentBytes = 0;
  bytesPerSecond: number;
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #options: PipeOptions;
  readonly #mouth: PipeMouth;
  readonly #what: string;
  readonly #writes: Write[] = [];
  readonly #arrivals: (() => void)[] = [];
  #onDrained: (() => void) | null = null;
  #inWindow = 0;
  #leaving = false;
  #lastArrivalNs = 0;
  #stalledUntilNs = 0;
  #flips = 0;
  #dead = false;
  #finSent = false;
  /** The sender is gone: what has not left never will. */
  #halted = false;

  constructor(scheduler: Scheduler, choices: Choices, what: string, options: PipeOptions, mouth: PipeMouth) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#what = what;
    this.#options = options;
    this.#mouth = mouth;
    this.bytesPerSecond = options.bytesPerSecond;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, at: 0, resolve, reject });
      this.#send();
    });
  }

  /** Calls back when everything written has left; then the other side learns that nothing more comes. */
  finish(drained: () => void): void {
    this.#onDrained = drained;
    this.#send();
  }

  /** The receiver took so many bytes: the window opens. */
  taken(bytes: number): void {
    this.#inWindow -= bytes;
    this.#send();
  }

  /** Nothing moves for so long. */
  stall(ns: number): void {
    this.#stalledUntilNs = Math.max(this.#stalledUntilNs, this.#scheduler.nowNs() + ns);
  }

  /** One bit of the next segment arrives wrong. */
  corrupt(): void {
    this.#flips++;
  }

  /** The sender is gone; what left before arrives. The receiver is told, or hears nothing more. */
  halt(reset: boolean): void {
    if (this.#halted) return;
    this.#halted = true;
    if (reset) this.#arrive(`${this.#what} reset`, () => this.#mouth.reset());
  }

  /** Nothing moves ever again; nobody is told. */
  die(): void {
    this.#dead = true;
  }

  /** What has not left never will. */
  fail(error: Error): void {
    this.#dead = true;
    for (const write of this.#writes.splice(0)) write.reject(error);
  }

  #send(): void {
    if (this.#leaving || this.#halted || this.#dead) return;
    if (this.#writes.length === 0) {
      this.#sendFin();
      return;
    }
    const room = this.#options.windowBytes - this.#inWindow;
    if (room <= 0) return;
    const segment = this.#cutSegment(room);
    this.#inWindow += segment.length;
    this.#leaving = true;
    const leavesNs = (segment.length * 1e9) / this.bytesPerSecond + this.#stallNs();
    this.#scheduler.at(leavesNs, `${this.#what} left`, () => this.#left(segment));
  }

  #left(segment: Uint8Array): void {
    if (this.#dead || this.#halted) return;
    this.#leaving = false;
    this.sentBytes += segment.length;
    while (this.#writes.length !== 0 && this.#writes[0]!.at === this.#writes[0]!.bytes.length) {
      this.#writes.shift()!.resolve();
    }
    this.#arrive(`${this.#what} data`, () => this.#mouth.arrived(segment));
    this.#send();
  }

  #sendFin(): void {
    if (this.#onDrained === null || this.#finSent) return;
    this.#finSent = true;
    this.#arrive(`${this.#what} fin`, () => this.#mouth.finished());
    this.#onDrained();
  }

  /** Later and in order, unless the link is dead by then. */
  #arrive(what: string, arrival: () => void): void {
    const nowNs = this.#scheduler.nowNs();
    const { delayNs, jitterNs } = this.#options;
    this.#lastArrivalNs = Math.max(this.#lastArrivalNs, nowNs + delayNs + this.#choices.int(jitterNs + 1));
    this.#arrivals.push(arrival);
    const whenDue = (): void => {
      if (this.#dead) return;
      const stallNs = this.#stallNs();
      // the first in line arrives, whoever's event this is: those that a stall held up come at the same time
      if (stallNs > 0) this.#scheduler.at(stallNs, what, whenDue);
      else this.#arrivals.shift()!();
    };
    this.#scheduler.at(this.#lastArrivalNs - nowNs, what, whenDue);
  }

  #stallNs(): number {
    return Math.max(0, this.#stalledUntilNs - this.#scheduler.nowNs());
  }

  /** Copies the next bytes out of what was written, over the borders of writes. */
  #cutSegment(room: number): Uint8Array {
    const { maxSegmentBytes } = this.#options;
    const tiny = this.#choices.chance(TINY_CHANCE);
    const wanted = Math.min(room, this.#choices.between(1, tiny ? TINY_BYTES : maxSegmentBytes));
    let waiting = 0;
    for (const write of this.#writes) {
      waiting += write.bytes.length - write.at;
      if (waiting >= wanted) break;
    }
    const segment = new Uint8Array(Math.min(wanted, waiting));
    let filled = 0;
    for (const write of this.#writes) {
      if (filled === segment.length) break;
      const bytes = Math.min(segment.length - filled, write.bytes.length - write.at);
      segment.set(write.bytes.subarray(write.at, write.at + bytes), filled);
      write.at += bytes;
      filled += bytes;
    }
    for (; this.#flips > 0 && segment.length > 0; this.#flips--) {
      segment[this.#choices.int(segment.length)]! ^= 1 << this.#choices.int(8);
    }
    return segment;
  }
}
