import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAMES_OFFSET, PayloadKernel } from '../../../src/hardware/wire/payload-kernel.js';
import {
  payloadCheck,
  payloadIsGood,
  payloadSeq,
  payloadTimestampNs,
  plainCheck,
  writePayload,
} from '../../../src/hardware/wire/test-payload.js';

const SIZES = fc.oneof(fc.integer({ min: 16, max: 200 }), fc.integer({ min: 16, max: 9000 }));

describe('test payload', () => {
  it('has the check word of the rule: word by word, from the sums as they are defined', () => {
    const bytes = new Uint8Array(28);
    writePayload(bytes, 0, 28, 3, 1000);
    const words = new Uint32Array(bytes.buffer);
    let s1 = 0;
    let s2 = 0;
    for (const [index, word] of words.entries()) {
      if (index === 1) continue;
      s1 = (s1 + word) >>> 0;
      s2 = (s2 + s1) >>> 0;
    }
    expect(words[1]).toBe((s1 ^ ((s2 << 16) | (s2 >>> 16))) >>> 0);
    expect(words[4]).toBe((3 * 0x9e3779b1) >>> 0);
    expect(words[6]).toBe((3 * 0x9e3779b1 + 2) >>> 0);
  });

  it('is whole wherever it lies and however long it is: closed form, kernel and plain loop agree', () => {
    fc.assert(
      fc.property(
        SIZES,
        fc.integer({ min: 0, max: 9 }),
        fc.nat(0xffffffff),
        fc.double({ min: 0, max: 1e18, noNaN: true }),
        (size, offset, seq, timestampNs) => {
          const bytes = new Uint8Array(offset + size + 5).fill(0xa5);
          writePayload(bytes, offset, size, seq, timestampNs);
          expect(payloadIsGood(bytes, offset, size)).toBe(true);
          expect(payloadCheck(bytes, offset, size)).toBe(plainCheck(bytes, offset, size));
          expect(payloadSeq(bytes, offset)).toBe(seq);
          expect(payloadTimestampNs(bytes, offset)).toBe(timestampNs);
          expect(bytes[offset + size]).toBe(0xa5);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('agrees between kernel and plain loop on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 3000 }), (bytes) => {
        expect(payloadCheck(bytes, 0, bytes.length)).toBe(plainCheck(bytes, 0, bytes.length));
      }),
      { numRuns: 200 },
    );
  });

  it('is broken by any changed, swapped or moved word, and too short to be good below 16 bytes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 1500 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (size, at, flip) => {
          const bytes = new Uint8Array(size);
          writePayload(bytes, 0, size, 77, 5);
          bytes[at % (size & ~3)]! ^= flip;
          expect(payloadIsGood(bytes, 0, size)).toBe(false);
        },
      ),
    );
    const swapped = new Uint8Array(40);
    writePayload(swapped, 0, 40, 77, 5);
    const words = new Uint32Array(swapped.buffer);
    [words[5], words[6]] = [words[6]!, words[5]!];
    expect(payloadIsGood(swapped, 0, 40)).toBe(false);
    expect(payloadIsGood(swapped, 0, 15)).toBe(false);
  });
});

describe('payload kernel', () => {
  it('writes consecutive words and overshoots by less than it says', () => {
    const kernel = new PayloadKernel(4096);
    for (const count of [1, 2, 3, 4, 5, 359]) {
      kernel.words.fill(-1);
      kernel.fill(FRAMES_OFFSET, count, 0xfffffffe);
      const first = FRAMES_OFFSET >> 2;
      for (let i = 0; i < count; i++) expect(kernel.words[first + i]).toBe((0xfffffffe + i) | 0);
      expect(kernel.words[first + count + 3]).toBe(-1);
    }
  });
});
