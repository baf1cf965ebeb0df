import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../../src/hardware/wire/latency-histogram.js';

describe('latency histogram', () => {
  it('gives percentiles within a thousandth of the sorted values', () => {
    const value = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 6e9 }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
        const histogram = new LatencyHistogram();
        for (const one of values) histogram.record(one);
        const sorted = [...values].sort((a, b) => a - b);
        const summary = histogram.summary();
        const near = (gotUs: number, wantNs: number): void =>
          expect(Math.abs(gotUs * 1e3 - wantNs)).toBeLessThanOrEqual(wantNs * 0.0015 + 1);
        expect(summary.count).toBe(values.length);
        near(summary.maxUs, sorted.at(-1)!);
        near(summary.p50Us, sorted[Math.ceil(values.length / 2) - 1]!);
        near(summary.minUs, sorted[0]!);
        expect(histogram.summary()).toEqual(summary);
      }),
      { numRuns: 50 },
    );
  });

  it('is empty at first and after a reset', () => {
    const histogram = new LatencyHistogram();
    histogram.record(5e9);
    histogram.record(500);
    histogram.reset();
    expect(histogram.summary()).toMatchObject({ count: 0, maxUs: 0, p99Us: 0 });
  });
});
