/** A receiver fed streams that are no streams: always a clear error of ours, never a crash, a hang or a large allocation. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { MigrationError } from '../../../src/migration/errors.js';
import { FrameEncoder } from '../../../src/migration/stream/encoder.js';
import { FRAME, FRAME_HEADER_BYTES, type FrameType } from '../../../src/migration/stream/frame.js';
import { encodeRecord } from '../../../src/migration/stream/records.js';
import { differingPages } from '../fake-vm.js';
import { captureStream, feed } from './capture.js';

let frames: Buffer[];
let stream: Buffer;
let source: WebAssembly.Memory;

beforeAll(async () => {
  const captured = await captureStream();
  frames = captured.frames;
  stream = Buffer.concat(frames);
  source = captured.vm.memory;
});

const SEED = 1234;
const pieces = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 5 });

/** The error that the destination ends with; fails when it accepts the stream. */
async function refusal(bytes: Uint8Array, pieceBytes?: readonly number[]): Promise<Error> {
  const outcome = await feed(bytes, pieceBytes).then(
    () => null,
    (error: Error) => error,
  );
  expect(outcome, 'the stream was accepted').not.toBeNull();
  expect(outcome).toBeInstanceOf(MigrationError);
  expect(outcome!.message.length).toBeGreaterThan(10);
  return outcome!;
}

describe('a damaged stream', () => {
  it('is accepted while it is whole, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, async (pieceBytes) => {
        const memory = await feed(stream, pieceBytes);
        expect(differingPages(source, memory)).toEqual([]);
      }),
      { numRuns: 10, seed: SEED },
    );
  });

  it('is refused with any bit flipped', async () => {
    const flip = fc.tuple(fc.integer({ min: 0, max: stream.length - 1 }), fc.integer({ min: 0, max: 7 }));
    await fc.assert(
      fc.asyncProperty(flip, pieces, async ([at, bit], pieceBytes) => {
        const damaged = Buffer.from(stream);
        damaged[at]! ^= 1 << bit;
        await refusal(damaged, pieceBytes);
      }),
      { numRuns: 150, seed: SEED },
    );
  });

  it('is refused with any bit of any header flipped', async () => {
    let at = 0;
    for (const frame of frames) {
      for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit += 5) {
        const damaged = Buffer.from(stream);
        damaged[at + (bit >> 3)]! ^= 1 << (bit & 7);
        await refusal(damaged);
      }
      at += frame.length;
    }
  });

  it('is refused cut short anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: stream.length - 1 }), pieces, async (length, pieceBytes) => {
        await refusal(stream.subarray(0, length), pieceBytes);
      }),
      { numRuns: 100, seed: SEED },
    );
  });

  it('is refused with frames swapped, dropped or repeated', async () => {
    const pair = fc.tuple(
      fc.nat(frames.length - 1),
      fc.nat(frames.length - 1),
      fc.constantFrom('swap', 'drop', 'repeat'),
    );
    await fc.assert(
      fc.asyncProperty(pair, async ([a, b, how]) => {
        const changed = [...frames];
        if (how === 'swap') [changed[a], changed[b]] = [changed[b]!, changed[a]!];
        else if (how === 'drop') changed.splice(a, 1);
        else changed.splice(a, 0, changed[a]!);
        fc.pre(how !== 'swap' || a !== b);
        // what follows the end of a whole stream is never read
        fc.pre(how !== 'repeat' || a < frames.length - 1);
        await refusal(Buffer.concat(changed));
      }),
      { numRuns: 80, seed: SEED },
    );
  });

  it('is refused when it is noise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), async (noise) => {
        await refusal(noise);
      }),
      { numRuns: 50, seed: SEED },
    );
  });
});

/** Well-formed frames with any content: what a hostile source with a correct encoder can send. */
function encode(parts: readonly (readonly [FrameType, Uint8Array])[]): Buffer {
  const encoder = new FrameEncoder();
  return Buffer.concat(parts.map(([type, payload]) => encoder.frame(type, payload)));
}

describe('a hostile source', () => {
  const payloadOf = (frame: Buffer): Buffer => frame.subarray(FRAME_HEADER_BYTES);
  const hello = (): readonly [FrameType, Uint8Array] => [FRAME.hello, payloadOf(frames[0]!)];

  it('may send any frames with any content in any order', async () => {
    const frame = fc.tuple(
      fc.constantFrom(...Object.values(FRAME)),
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.dictionary(fc.string(), fc.anything()).map((record) => {
          try {
            return encodeRecord(record);
          } catch {
            return new Uint8Array();
          }
        }),
        fc
          .array(fc.nat(0xffffffff), { maxLength: 12 })
          .map((words) => new Uint8Array(Uint32Array.from(words).buffer)),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 6 }), async (rest) => {
        await refusal(encode([hello(), ...rest]));
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  it('cannot make the receiver allocate by announcing much', async () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const type of Object.values(FRAME)) {
      const header = Buffer.from(encode([[type, new Uint8Array()]]));
      header.writeUInt32LE(0xfffffff0, 12);
      await refusal(header);
    }
    const state = Buffer.alloc(8 + 16);
    state.writeUInt32LE(0xffffffff, 0);
    await refusal(encode([hello(), [FRAME.vmState, state]]));
    // arrays, maps and strings that say they are huge
    for (const head of [0x9b, 0xbb, 0x7b, 0x5b, 0x9a, 0xba]) {
      const lie = Buffer.alloc(9, 0x00);
      lie[0] = head;
      lie.writeUInt32BE(0x0fffffff, head & 1 ? 5 : 1);
      await refusal(encode([[FRAME.hello, lie]]));
    }
    await refusal(encode([[FRAME.hello, Buffer.alloc(60_000, 0x81)]])); // arrays in arrays in arrays
    // one decoder's buffer per stream that is not yet collected, and nothing of the gigabytes that were announced
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('cannot put pages outside RAM, nor claim more data than it sends', async () => {
    const batch = (
      dataBytes: number,
      runs: readonly (readonly [number, number])[],
      count = runs.length,
    ): Buffer => {
      const payload = Buffer.alloc(dataBytes + runs.length * 8 + 8);
      for (const [index, [pfn, word]] of runs.entries()) {
        payload.writeUInt32LE(pfn >>> 0, dataBytes + index * 8);
        payload.writeUInt32LE(word >>> 0, dataBytes + index * 8 + 4);
      }
      payload.writeUInt32LE(count >>> 0, payload.length - 8);
      return payload;
    };
    const zero = 0x80000000;
    const filled = (byte: number): number => zero | (byte << 23);
    for (const bad of [
      batch(0, [[256, zero | 1]]),
      batch(0, [[255, zero | 2]]),
      batch(0, [[0xffffffff, zero | 1]]),
      batch(0, [[0, zero | 0x7fffffff]]),
      batch(0, [[0, zero]]),
      batch(0, [[0, 1]]),
      batch(4096, [[0, 2]]),
      batch(4096, [[0, zero | 1]]),
      batch(0, [[255, filled(0xcc) | 2]]),
      batch(0, [[0, filled(0xcc)]]),
      batch(4096, [[0, filled(0xcc) | 1]]),
      batch(100, [[0, 1]]),
      batch(0, [[0, zero | 1]], 0),
      batch(0, [[0, zero | 1]], 100_000),
      Buffer.alloc(3),
    ]) {
      const error = await refusal(encode([hello(), [FRAME.pages, bad]]));
      expect(error.message).toContain('page');
    }
  });
});
