/**
 * What became of a numbered stream: lost, duplicated, reordered. A bitmap of the newest numbers tells a late arrival
 * from a second one; numbers run modulo 2^32.
 */

const WINDOW_BITS = 1 << 16;
const WINDOW_MASK = WINDOW_BITS - 1;

export const ARRIVAL_NEW = 0;
export const ARRIVAL_REORDERED = 1;
export const ARRIVAL_DUPLICATE = 2;
/** Older than the window: it was counted as lost and cannot be told from a duplicate. */
export const ARRIVAL_TOO_OLD = 3;

export class SequenceTracker {
  /** Arrivals of numbers not seen before. */
  distinct = 0;
  duplicates = 0;
  /** New numbers that came after a higher one. */
  reordered = 0;
  tooOld = 0;
  private readonly seen = new Uint32Array(WINDOW_BITS / 32);
  private highest: number;
  /** Numbers from the first expected one to the highest seen. */
  private span = 0;
  private started: boolean;

  /** @param firstSeq the number the stream starts with; without it, the first arrival. */
  constructor(firstSeq?: number) {
    this.started = firstSeq !== undefined;
    this.highest = ((firstSeq ?? 0) - 1) >>> 0;
  }

  /** Numbers skipped so far (some may still come). */
  get missing(): number {
    return this.span - this.distinct;
  }

  /** Notes an arrival; returns one of ARRIVAL_*. */
  accept(seq: number): number {
    if (!this.started) {
      this.started = true;
      this.highest = (seq - 1) >>> 0;
    }
    const ahead = (seq - this.highest) | 0;
    if (ahead > 0) {
      this.advance(ahead);
      this.highest = seq >>> 0;
      this.span += ahead;
    } else if (ahead <= -WINDOW_BITS || -ahead >= this.span) {
      this.tooOld++;
      return ARRIVAL_TOO_OLD;
    }
    const bit = seq & WINDOW_MASK;
    const mask = 1 << (bit & 31);
    if ((this.seen[bit >>> 5]! & mask) !== 0) {
      this.duplicates++;
      return ARRIVAL_DUPLICATE;
    }
    this.seen[bit >>> 5]! |= mask;
    this.distinct++;
    if (ahead > 0) return ARRIVAL_NEW;
    this.reordered++;
    return ARRIVAL_REORDERED;
  }

  /** Whether this number (one of the newest 65536) arrived. */
  has(seq: number): boolean {
    const behind = (this.highest - seq) | 0;
    if (behind < 0 || behind >= Math.min(this.span, WINDOW_BITS)) return false;
    const bit = seq & WINDOW_MASK;
    return (this.seen[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }

  /** Clears the bits of the numbers that the window now stands for. */
  private advance(ahead: number): void {
    if (ahead >= WINDOW_BITS) {
      this.seen.fill(0);
      return;
    }
    for (let i = 1; i <= ahead; i++) {
      const bit = (this.highest + i) & WINDOW_MASK;
      this.seen[bit >>> 5]! &= ~(1 << (bit & 31));
    }
  }
}
