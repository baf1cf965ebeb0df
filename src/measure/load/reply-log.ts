/**
 * Every reply of an echo load, with its time and round trip, so that any slice of a run can be looked at afterwards: what
 * came before, during and after a migration is only known when it is over.
 */

const FIRST_REPLIES = 1 << 14;
/** 128 MiB of log; replies beyond are counted by the load, but not logged. */
const MAX_REPLIES = 1 << 23;

export interface SliceFigures {
  readonly replies: number;
  readonly perSecond: number;
  /** Null when nothing came. */
  readonly p50Us: number | null;
  readonly p99Us: number | null;
}

export class ReplyLog {
  private times = new Float64Array(FIRST_REPLIES);
  private roundTrips = new Float64Array(FIRST_REPLIES);
  private used = 0;

  get count(): number {
    return this.used;
  }

  /** Times must not run backwards. */
  add(nowNs: number, roundTripNs: number): void {
    if (this.used === this.times.length && !this.grow()) return;
    this.times[this.used] = nowNs;
    this.roundTrips[this.used++] = roundTripNs;
  }

  slice(fromNs: number, toNs: number): SliceFigures {
    const first = this.firstFrom(fromNs);
    const end = this.firstFrom(toNs);
    const sorted = this.roundTrips.slice(first, end).sort();
    const at = (share: number): number | null =>
      sorted.length === 0
        ? null
        : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! / 1e3;
    const seconds = Math.max(toNs - fromNs, 1) / 1e9;
    return { replies: sorted.length, perSecond: sorted.length / seconds, p50Us: at(0.5), p99Us: at(0.99) };
  }

  /** Longest time without a reply that begins or ends in the slice; the slice's own ends count as replies. */
  longestGapNs(fromNs: number, toNs: number): number {
    let last = fromNs;
    let longest = 0;
    for (let i = this.firstFrom(fromNs); i < this.used && this.times[i]! < toNs; i++) {
      longest = Math.max(longest, this.times[i]! - last);
      last = this.times[i]!;
    }
    return Math.max(longest, toNs - last);
  }

  /** Replies per second in each of `buckets` slices of `bucketNs` from `fromNs` on. */
  rates(fromNs: number, bucketNs: number, buckets: number): number[] {
    const rates: number[] = [];
    let next = this.firstFrom(fromNs);
    for (let bucket = 0; bucket < buckets; bucket++) {
      const end = this.firstFrom(fromNs + (bucket + 1) * bucketNs);
      rates.push(((end - next) * 1e9) / bucketNs);
      next = end;
    }
    return rates;
  }

  /** Median round trip in microseconds in each slice; null where nothing came. */
  medians(fromNs: number, bucketNs: number, buckets: number): (number | null)[] {
    return Array.from({ length: buckets }, (_, bucket) => {
      const from = fromNs + bucket * bucketNs;
      return this.slice(from, from + bucketNs).p50Us;
    });
  }

  /** Index of the first reply that is not before a moment. */
  private firstFrom(momentNs: number): number {
    let low = 0;
    let high = this.used;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! < momentNs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private grow(): boolean {
    const capacity = this.times.length * 2;
    if (capacity > MAX_REPLIES) return false;
    const enlarged = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const next = new Float64Array(capacity);
      next.set(old);
      return next;
    };
    this.times = enlarged(this.times);
    this.roundTrips = enlarged(this.roundTrips);
    return true;
  }
}
