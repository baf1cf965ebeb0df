/** Latencies in an HDR histogram: nanoseconds in, a summary in microseconds out. */
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

export class LatencyHistogram {
  private readonly histogram: Histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: 3,
  });

  record(latencyNs: number): void {
    this.histogram.recordValue(
      latencyNs < 1 ? 1 : latencyNs > HIGHEST_NS ? HIGHEST_NS : Math.floor(latencyNs),
    );
  }

  reset(): void {
    this.histogram.reset();
  }

  summary(): LatencySummary {
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
}
