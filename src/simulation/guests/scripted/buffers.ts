/**
 * Buffers in an arena of 1 KiB granules, shared by all queues: one byte in RAM says who has a granule. So pages are shared
 * between queues and directions, and buffers straddle pages.
 */
import { ARENA_AT, GRANULE_BYTES, GRANULES_AT, MAX_GRANULES, OWNER } from './places.js';
import type { GuestState } from './state.js';

/** Granules in a page. */
const PAGE_GRANULES = 4;

export class Buffers {
  readonly granules: number;
  readonly #state: GuestState;

  constructor(state: GuestState) {
    this.#state = state;
    this.granules = Math.min(MAX_GRANULES, Math.floor((state.ram.ramBytes - ARENA_AT) / GRANULE_BYTES));
  }

  /** A run of granules from anywhere; 0: there is none. */
  take(count: number, owner: number): number {
    const start = this.#state.int(this.granules);
    return this.#find(start, this.granules, count, owner) || this.#find(0, start, count, owner);
  }

  /** This very run, if it is free. */
  takeAt(address: number, count: number, owner: number): boolean {
    const first = (address - ARENA_AT) / GRANULE_BYTES;
    if (!Number.isInteger(first) || first < 0 || first + count > this.granules) return false;
    for (let i = 0; i < count; i++) if (this.#ownerOf(first + i) !== OWNER.nobody) return false;
    this.#own(first, count, owner);
    return true;
  }

  give(address: number, count: number): void {
    this.#own((address - ARENA_AT) / GRANULE_BYTES, count, OWNER.nobody);
  }

  /**
   * The device may still use it: nobody gets it until release().
   * @param queue 0 and 1: Rx queues, 2 and 3: Tx queues
   */
  quarantine(address: number, count: number, queue: number): void {
    this.#own((address - ARENA_AT) / GRANULE_BYTES, count, OWNER.quarantine + queue);
  }

  release(queue: number): void {
    for (let granule = 0; granule < this.granules; granule++) {
      if (this.#ownerOf(granule) === OWNER.quarantine + queue) this.#own(granule, 1, OWNER.nobody);
    }
  }

  /** Whether another queue's buffer lies in the first page of this run. */
  sharesPage(address: number, owner: number): boolean {
    const first = Math.floor((address - ARENA_AT) / GRANULE_BYTES / PAGE_GRANULES) * PAGE_GRANULES;
    for (let granule = first; granule < Math.min(first + PAGE_GRANULES, this.granules); granule++) {
      const other = this.#ownerOf(granule);
      if (other !== OWNER.nobody && other !== owner && other < OWNER.quarantine) return true;
    }
    return false;
  }

  /** A granule that nobody has, for stores beside buffers; 0: there is none at that place. */
  freeGranule(): number {
    const granule = this.#state.int(this.granules);
    return this.#ownerOf(granule) === OWNER.nobody ? ARENA_AT + granule * GRANULE_BYTES : 0;
  }

  #find(from: number, to: number, count: number, owner: number): number {
    let free = 0;
    for (let granule = from; granule < to; granule++) {
      free = this.#ownerOf(granule) === OWNER.nobody ? free + 1 : 0;
      if (free < count) continue;
      const first = granule - count + 1;
      this.#own(first, count, owner);
      return ARENA_AT + first * GRANULE_BYTES;
    }
    return 0;
  }

  #ownerOf(granule: number): number {
    return this.#state.ram.loadByte(GRANULES_AT + granule);
  }

  #own(first: number, count: number, owner: number): void {
    for (let i = 0; i < count; i++) this.#state.ram.storeByte(GRANULES_AT + first + i, owner);
  }
}
