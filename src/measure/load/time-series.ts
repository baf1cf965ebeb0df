/** Counts and values per slice of time, for charts of throughput and latency: grows as time passes, up to a bound. */

export interface TimeSeriesReport {
  /** When the first bucket starts, on the clock that is common to all processes of the machine. */
  readonly startNs: number;
  readonly bucketMs: number;
  /** Events per bucket. */
  readonly counts: readonly number[];
  /** Sum of the events' values per bucket; divide by the count for the mean. */
  readonly sums: readonly number[];
  /** Highest value per bucket; 0 where nothing happened. */
  readonly maxima: readonly number[];
}

const FIRST_BUCKETS = 256;
/** 100 minutes of 100 ms; what comes later goes to the last bucket. */
const MAX_BUCKETS = 65536;

export class TimeSeries {
  private readonly startNs: number;
  private readonly bucketNs: number;
  private counts = new Float64Array(FIRST_BUCKETS);
  private sums = new Float64Array(FIRST_BUCKETS);
  private maxima = new Float64Array(FIRST_BUCKETS);
  private used = 0;

  constructor(startNs: number, bucketMs: number) {
    this.startNs = startNs;
    this.bucketNs = bucketMs * 1e6;
  }

  add(nowNs: number, value: number): void {
    const bucket = Math.max(0, Math.min(MAX_BUCKETS - 1, Math.floor((nowNs - this.startNs) / this.bucketNs)));
    if (bucket >= this.counts.length) this.grow(bucket + 1);
    if (bucket >= this.used) this.used = bucket + 1;
    this.counts[bucket]!++;
    this.sums[bucket]! += value;
    if (value > this.maxima[bucket]!) this.maxima[bucket] = value;
  }

  /** The series up to now: buckets in which nothing happened are there too. */
  report(nowNs: number): TimeSeriesReport {
    const elapsed = Math.floor((nowNs - this.startNs) / this.bucketNs);
    const buckets = Math.max(this.used, Math.min(MAX_BUCKETS, Math.max(0, elapsed)));
    if (buckets > this.counts.length) this.grow(buckets);
    return {
      startNs: this.startNs,
      bucketMs: this.bucketNs / 1e6,
      counts: Array.from(this.counts.subarray(0, buckets)),
      sums: Array.from(this.sums.subarray(0, buckets)),
      maxima: Array.from(this.maxima.subarray(0, buckets)),
    };
  }

  private grow(buckets: number): void {
    const capacity = Math.min(MAX_BUCKETS, Math.max(buckets, this.counts.length * 2));
    const enlarged = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const next = new Float64Array(capacity);
      next.set(old);
      return next;
    };
    this.counts = enlarged(this.counts);
    this.sums = enlarged(this.sums);
    this.maxima = enlarged(this.maxima);
  }
}
