import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameRing, MIN_RING_BYTES } from '../../../src/hardware/wire/frame-ring.js';
import { MAX_FRAME_BYTES } from '../../../src/hardware/wire/wire.js';
import { zeroWireStats } from '../../../src/hardware/wire/wire-stats.js';

const LENGTH = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: MAX_FRAME_BYTES }));

/** Far quicker on kilobytes than a deep comparison. */
function same(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  return left.length === right.length && left.every((frame, i) => Buffer.compare(frame, right[i]!) === 0);
}

describe('frame ring', () => {
  it('is a bounded queue of frames, whatever the order of pushes, drains and refusals', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('push' as const), length: LENGTH }),
      fc.record({ kind: fc.constant('push' as const), length: LENGTH }),
      fc.record({ kind: fc.constant('drain' as const), budget: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constant('refuse' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 200 }), fc.nat(), (steps, start) => {
        const ring = new FrameRing(new Uint8Array(MIN_RING_BYTES));
        // Positions run on modulo 2^32: start anywhere, also just before the wrap.
        ring.head = ring.tail = (-(start & ~7) & -8) >>> 0;
        const stats = zeroWireStats();
        const model: Uint8Array[] = [];
        let number = 0;
        for (const one of steps) {
          if (one.kind === 'push') {
            const frame = new Uint8Array(one.length).fill(++number & 0xff);
            const room = model.reduce((sum, f) => sum + ((f.length + 11) & ~7), 0);
            const taken = ring.push(frame, 0, frame.length);
            if (taken) model.push(frame);
            else expect(room + 2 * (MAX_FRAME_BYTES + 12)).toBeGreaterThan(MIN_RING_BYTES);
          } else if (one.kind === 'drain') {
            const expected = model.splice(0, one.budget);
            const got: Uint8Array[] = [];
            ring.drain((b, o, n) => got.push(b.slice(o, o + n)) > 0, one.budget, stats);
            expect(same(got, expected)).toBe(true);
          } else {
            expect(ring.drain(() => false, 5, stats)).toBe(0);
          }
        }
        const rest: Uint8Array[] = [];
        ring.drain((b, o, n) => rest.push(b.slice(o, o + n)) > 0, Number.POSITIVE_INFINITY, stats);
        expect(same(rest, model)).toBe(true);
        expect(ring.head).toBe(ring.tail);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a frame that no wire carries, and a ring that is no power of two', () => {
    const ring = new FrameRing(new Uint8Array(MIN_RING_BYTES));
    expect(ring.push(new Uint8Array(MAX_FRAME_BYTES + 1), 0, MAX_FRAME_BYTES + 1)).toBe(false);
    expect(() => new FrameRing(new Uint8Array(MIN_RING_BYTES + 8))).toThrow(/power of two/);
  });
});
