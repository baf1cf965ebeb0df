/**
 * Events to come, earliest first, in the order they were made where times are equal. A binary heap over typed arrays;
 * an event that was cancelled stays until its time comes and is skipped then.
 */
import type { HostTime } from './host-time.js';

export class EventQueue {
  #times = new Float64Array(256);
  #sequences = new Float64Array(256);
  /** Which slot the entry at a heap position means. */
  #slots = new Int32Array(256);
  #length = 0;
  readonly #calls: ((() => void) | null)[] = [];
  readonly #whats: string[] = [];
  readonly #hosts: (HostTime | null)[] = [];
  readonly #slotSequences: number[] = [];
  readonly #free: number[] = [];
  #nextSequence = 0;

  /** When the next living event is due; Infinity: there is none. */
  get dueNs(): number {
    while (this.#length > 0) {
      const slot = this.#slots[0]!;
      const host = this.#hosts[slot]!;
      if (this.#calls[slot] !== null && !(host?.isCrashed ?? false)) return this.#times[0]!;
      this.#pop();
    }
    return Infinity;
  }

  /** Returns the event's ticket, for cancel(). */
  push(timeNs: number, what: string, call: () => void, host: HostTime | null): Ticket {
    const slot = this.#free.pop() ?? this.#calls.length;
    const sequence = this.#nextSequence++;
    this.#calls[slot] = call;
    this.#whats[slot] = what;
    this.#hosts[slot] = host;
    this.#slotSequences[slot] = sequence;
    this.#insert(timeNs, sequence, slot);
    return { slot, sequence };
  }

  cancel({ slot, sequence }: Ticket): void {
    if (this.#slotSequences[slot] === sequence) this.#calls[slot] = null;
  }

  /** Takes the event that dueNs told of. */
  take(into: TakenEvent): void {
    const slot = this.#slots[0]!;
    into.call = this.#calls[slot]!;
    into.what = this.#whats[slot]!;
    into.host = this.#hosts[slot]!;
    this.#pop();
  }

  #insert(timeNs: number, sequence: number, slot: number): void {
    if (this.#length === this.#times.length) this.#grow();
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentNs = this.#times[parent]!;
      if (parentNs < timeNs || (parentNs === timeNs && this.#sequences[parent]! < sequence)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, timeNs, sequence, slot);
  }

  #pop(): void {
    const slot = this.#slots[0]!;
    this.#calls[slot] = null;
    this.#slotSequences[slot] = -1;
    this.#free.push(slot);
    const last = --this.#length;
    if (last > 0) this.#sink(this.#times[last]!, this.#sequences[last]!, this.#slots[last]!);
  }

  #sink(timeNs: number, sequence: number, slot: number): void {
    const length = this.#length;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#isBefore(child + 1, child)) child++;
      const childNs = this.#times[child]!;
      if (timeNs < childNs || (timeNs === childNs && sequence < this.#sequences[child]!)) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, timeNs, sequence, slot);
  }

  #isBefore(a: number, b: number): boolean {
    const aNs = this.#times[a]!;
    const bNs = this.#times[b]!;
    return aNs < bNs || (aNs === bNs && this.#sequences[a]! < this.#sequences[b]!);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from]!, this.#sequences[from]!, this.#slots[from]!);
  }

  #set(at: number, timeNs: number, sequence: number, slot: number): void {
    this.#times[at] = timeNs;
    this.#sequences[at] = sequence;
    this.#slots[at] = slot;
  }

  #grow(): void {
    const size = this.#times.length * 2;
    const times = new Float64Array(size);
    times.set(this.#times);
    this.#times = times;
    const sequences = new Float64Array(size);
    sequences.set(this.#sequences);
    this.#sequences = sequences;
    const slots = new Int32Array(size);
    slots.set(this.#slots);
    this.#slots = slots;
  }
}

export interface Ticket {
  readonly slot: number;
  readonly sequence: number;
}

/** Filled by take(), so that taking allocates nothing. */
export interface TakenEvent {
  call: () => void;
  what: string;
  host: HostTime | null;
}
