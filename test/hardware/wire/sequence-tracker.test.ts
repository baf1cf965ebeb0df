import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ARRIVAL_DUPLICATE,
  ARRIVAL_NEW,
  ARRIVAL_REORDERED,
  ARRIVAL_TOO_OLD,
  SequenceTracker,
} from '../../../src/hardware/wire/sequence-tracker.js';

describe('sequence tracker', () => {
  it('counts as a set would, also across the wrap of the numbers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(0, 1000, 0xffffff80),
        (numbers, base) => {
          const tracker = new SequenceTracker(base);
          const seen = new Set<number>();
          let highest = -1;
          for (const number of numbers) {
            const expected = seen.has(number)
              ? ARRIVAL_DUPLICATE
              : number > highest
                ? ARRIVAL_NEW
                : ARRIVAL_REORDERED;
            expect(tracker.accept((base + number) >>> 0)).toBe(expected);
            seen.add(number);
            highest = Math.max(highest, number);
          }
          expect(tracker.distinct).toBe(seen.size);
          expect(tracker.missing).toBe(highest + 1 - seen.size);
          for (let number = 0; number <= 300; number++) {
            expect(tracker.has((base + number) >>> 0)).toBe(seen.has(number));
          }
        },
      ),
    );
  });

  it('cannot tell what is older than its window, and says so', () => {
    const tracker = new SequenceTracker(0);
    tracker.accept(0);
    tracker.accept(70_000);
    expect(tracker.accept(1)).toBe(ARRIVAL_TOO_OLD);
    expect(tracker.accept(10_000)).toBe(ARRIVAL_REORDERED);
    expect(tracker.missing).toBe(70_001 - 3);
    const unnumbered = new SequenceTracker();
    expect(unnumbered.accept(500)).toBe(ARRIVAL_NEW);
    expect(unnumbered.missing).toBe(0);
    expect(unnumbered.accept(499)).toBe(ARRIVAL_TOO_OLD);
  });
});
