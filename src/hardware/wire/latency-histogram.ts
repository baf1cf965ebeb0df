/**
 * Latencies in an HDR histogram: nanoseconds in, a summary in microseconds out. Per-packet recording goes to an array of
 * counters with the same buckets' precision (11 significant bits), at a tenth of the library's cost per value; they are
 * poured into the histogram when somebody asks.
 */
import type { Histogram } from 'hdr-histogram-js';
import { build } from 'hdr-histogram-js';

export interface LatencySummary {
  readonly count: number;
  readonly minUs: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Longer ones count as this. */
const HIGHEST_NS = 100e9;
/** Values below have a counter each; above, 2048 counters per power of two. */
const EXACT_LIMIT_NS = 4096;
const PER_OCTAVE = 2048;
const OCTAVES = 20;
/** clz32 of the largest value with its own counter. */
const EXACT_LEADING_ZEROS = 20;
/** What does not fit 32 bits goes to the histogram directly. */
const COUNTED_LIMIT_NS = 2 ** 32;

export class LatencyHistogram {
  private readonly histogram: Histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: 3,
  });
  private readonly counts = new Uint32Array(EXACT_LIMIT_NS + OCTAVES * PER_OCTAVE);

  record(latencyNs: number): void {
    if (latencyNs >= COUNTED_LIMIT_NS) {
      this.histogram.recordValue(Math.min(HIGHEST_NS, Math.floor(latencyNs)));
      return;
    }
    const value = latencyNs < 1 ? 1 : latencyNs >>> 0;
    if (value < EXACT_LIMIT_NS) {
      this.counts[value]!++;
    } else {
      const shift = EXACT_LEADING_ZEROS - Math.clz32(value);
      this.counts[EXACT_LIMIT_NS + (shift - 1) * PER_OCTAVE + ((value >>> shift) - PER_OCTAVE)]!++;
    }
  }

  reset(): void {
    this.counts.fill(0);
    this.histogram.reset();
  }

  summary(): LatencySummary {
    this.pour();
    const histogram = this.histogram;
    const count = histogram.totalCount;
    const us = (valueNs: number): number => (count === 0 ? 0 : valueNs / 1e3);
    return {
      count,
      minUs: us(histogram.minNonZeroValue),
      meanUs: us(histogram.mean),
      p50Us: us(histogram.getValueAtPercentile(50)),
      p90Us: us(histogram.getValueAtPercentile(90)),
      p99Us: us(histogram.getValueAtPercentile(99)),
      p999Us: us(histogram.getValueAtPercentile(99.9)),
      maxUs: us(histogram.maxValue),
    };
  }

  private pour(): void {
    const { counts } = this;
    for (let index = 0; index < counts.length; index++) {
      const count = counts[index]!;
      if (count === 0) continue;
      const above = index - EXACT_LIMIT_NS;
      const shift = Math.floor(above / PER_OCTAVE) + 1;
      const value = above < 0 ? index : ((above % PER_OCTAVE) + PER_OCTAVE) * 2 ** shift;
      this.histogram.recordValueWithCount(value, count);
    }
    counts.fill(0);
  }
}
