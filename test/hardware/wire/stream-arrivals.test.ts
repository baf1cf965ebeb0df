import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamArrivals } from '../../../src/hardware/wire/stream-arrivals.js';
import { MAX_FRAME_BYTES } from '../../../src/hardware/wire/wire.js';
import { zeroWireStats } from '../../../src/hardware/wire/wire-stats.js';

const stats = () => ({ ...zeroWireStats(), framingErrors: 0, connects: 0, refusedPeers: 0 });

function framed(lengths: readonly number[]): Buffer {
  return Buffer.concat(
    lengths.map((length, index) => {
      const record = Buffer.alloc(4 + length, index & 0xff);
      record.writeUInt32BE(length);
      return record;
    }),
  );
}

/** Cuts the bytes at the given distances, over and over. */
function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const next = Math.min(bytes.length, at + cuts[i % cuts.length]!);
    yield bytes.subarray(at, next);
    at = next;
  }
}

describe('stream arrivals', () => {
  it('gives the same frames however the stream is cut and however slowly they are taken', () => {
    const lengths = fc.array(
      fc.oneof(fc.integer({ min: 14, max: 1600 }), fc.integer({ min: 14, max: MAX_FRAME_BYTES })),
      {
        minLength: 1,
        maxLength: 120,
      },
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 65536 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, cuts, fc.integer({ min: 0, max: 5 }), (wanted, sizes, budget) => {
        const counters = stats();
        const arrivals = new StreamArrivals(counters);
        const got: Buffer[] = [];
        const take = (bytes: Uint8Array, offset: number, length: number): boolean => {
          got.push(Buffer.from(bytes.slice(offset, offset + length)));
          return true;
        };
        const stream = framed(wanted);
        for (const piece of pieces(stream, sizes)) {
          // The socket's pause does this in life: no more than the buffer holds.
          while (arrivals.room < piece.length) arrivals.drain(take, 1);
          arrivals.add(piece, piece.length);
          arrivals.drain(() => false, 1);
          arrivals.drain(take, budget);
        }
        arrivals.drain(take, Number.POSITIVE_INFINITY);
        expect(got.length).toBe(wanted.length);
        const expected = wanted.map((length, index) => Buffer.alloc(length, index & 0xff));
        expect(Buffer.concat(got).equals(Buffer.concat(expected))).toBe(true);
        expect(counters).toMatchObject({ rxFrames: wanted.length, rxDropped: 0, framingErrors: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('takes any bytes without harm: frames of a possible length, or a broken stream', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 30 }), (chunks) => {
        const counters = stats();
        const arrivals = new StreamArrivals(counters);
        for (const chunk of chunks) {
          arrivals.add(chunk, chunk.length);
          arrivals.drain((bytes, offset, length) => {
            expect(length).toBeGreaterThanOrEqual(14);
            expect(length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
            expect(offset + length).toBeLessThanOrEqual(bytes.length);
            return true;
          }, 100);
        }
        expect(counters.framingErrors).toBe(arrivals.broken ? 1 : 0);
      }),
      { numRuns: 200 },
    );
  });

  it('breaks rather than grow when more comes than it can hold', () => {
    const counters = stats();
    const arrivals = new StreamArrivals(counters);
    const chunk = framed([1000]);
    for (let i = 0; i < 2000; i++) arrivals.add(chunk, chunk.length);
    expect(arrivals.broken).toBe(true);
    expect(arrivals.drain(() => true, 10)).toBe(0);
    arrivals.reset();
    arrivals.add(chunk, chunk.length);
    expect(arrivals.drain(() => true, 10)).toBe(1);
  });
});
