/**
 * What a TCP receiver has got ahead of its turn: ranges of sequence numbers that do not touch, at most MAX_RANGES of them. The
 * latest one stands first, as selective acknowledgements (RFC 2018) want it.
 */

/** Distance of two sequence numbers, which wrap. */
export const after = (a: number, b: number): number => (a - b) | 0;

export interface SequenceRange {
  readonly from: number;
  /** The number behind the last byte. */
  readonly until: number;
}

const MAX_RANGES = 64;

export class EarlyRanges {
  #ranges: SequenceRange[] = [];

  get latestFirst(): readonly SequenceRange[] {
    return this.#ranges;
  }

  /** False: there is no room for one more range; the bytes count as not received. */
  add(from: number, until: number): boolean {
    let [first, last] = [from, until];
    const apart: SequenceRange[] = [];
    for (const range of this.#ranges) {
      if (after(range.from, last) > 0 || after(range.until, first) < 0) {
        apart.push(range);
        continue;
      }
      if (after(range.from, first) < 0) first = range.from;
      if (after(range.until, last) > 0) last = range.until;
    }
    if (apart.length >= MAX_RANGES) return false;
    this.#ranges = [{ from: first, until: last }, ...apart];
    return true;
  }

  /** All before `expected` has come: returns the number up to which there is no gap now, and forgets what it covers. */
  takeFrom(expected: number): number {
    let reached = expected;
    // ranges do not touch: at most one goes on from here, but what is behind `expected` already must go too
    for (const range of this.#ranges) {
      if (after(range.from, reached) <= 0 && after(range.until, reached) > 0) reached = range.until;
    }
    this.#ranges = this.#ranges.filter(({ until }) => after(until, reached) > 0);
    return reached;
  }
}
