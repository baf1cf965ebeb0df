/** Ranges of sequence numbers against a set of the numbers themselves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EarlyRanges } from '../../../src/measure/load/early-ranges.js';

/** The numbers wrap within what is drawn. */
const FIRST = 0xffff_ffe0;
const SPAN = 80;
const at = (offset: number): number => (FIRST + offset) >>> 0;

describe('ranges that came early', () => {
  it('are what was added, whatever the order, and give up what has no gap before it', () => {
    const piece = fc.tuple(fc.integer({ min: 1, max: SPAN }), fc.integer({ min: 1, max: 12 }));
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.integer({ min: 0, max: SPAN }),
        (pieces, expected) => {
          const ranges = new EarlyRanges();
          const have = new Set<number>();
          for (const [from, bytes] of pieces) {
            expect(ranges.add(at(from), at(from + bytes))).toBe(true);
            for (let i = from; i < from + bytes; i++) have.add(i);
            // told first: the one that the last piece is in
            const { from: first, until } = ranges.latestFirst[0]!;
            expect([(at(from) - first) | 0, (until - at(from + bytes)) | 0].every((by) => by >= 0)).toBe(
              true,
            );
          }
          const numbers = ranges.latestFirst.flatMap(({ from, until }) =>
            Array.from({ length: (until - from) | 0 }, (_, i) => (from + i - FIRST) | 0),
          );
          expect(numbers.sort((a, b) => a - b)).toEqual([...have].sort((a, b) => a - b));
          let reached = expected;
          while (have.has(reached)) reached++;
          expect(ranges.takeFrom(at(expected)) >>> 0).toBe(at(reached));
          expect(ranges.latestFirst.every(({ from }) => ((from - at(reached)) | 0) > 0)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are bounded', () => {
    const ranges = new EarlyRanges();
    for (let i = 0; i < 64; i++) expect(ranges.add(2 * i, 2 * i + 1)).toBe(true);
    expect(ranges.add(1000, 1001)).toBe(false);
    expect(ranges.add(1, 2)).toBe(true);
    expect(ranges.latestFirst).toHaveLength(63);
  });
});
