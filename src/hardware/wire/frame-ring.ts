/**
 * A bounded first-in first-out ring of frames in one byte array. Frames lie in one piece, so that the reader can offer
 * them in place:
 *
 *     | length u32 | frame | pad to 8 | length | frame | pad | ... | SKIP_TO_START |
 *
 * `head` and `tail` count bytes and run on (modulo 2^32); the reader moves `head`, the writer `tail`. The ring itself
 * knows nothing of threads: whoever shares the bytes publishes the two positions (see shared-cable.ts).
 */
import { copyBytes } from './copy-bytes.js';
import type { FrameSink, WireStats } from './wire.js';
import { MAX_FRAME_BYTES } from './wire.js';

const HEADER_BYTES = 4;
const ALIGN_BYTES = 8;
/** In place of a length: the rest up to the end of the array is unused. */
const SKIP_TO_START = 0xffffffff;

export const MIN_RING_BYTES = 32 * 1024;

export class FrameRing {
  head = 0;
  tail = 0;
  private readonly bytes: Uint8Array;
  private readonly lengths: Uint32Array;
  private readonly mask: number;

  /** @throws RangeError unless `bytes` has a power of two of at least MIN_RING_BYTES. */
  constructor(bytes: Uint8Array) {
    const ringBytes = bytes.length;
    if (ringBytes < MIN_RING_BYTES || (ringBytes & (ringBytes - 1)) !== 0) {
      throw new RangeError(
        `frame ring: ${ringBytes} bytes; needs a power of two of at least ${MIN_RING_BYTES}`,
      );
    }
    this.bytes = bytes;
    this.lengths = new Uint32Array(bytes.buffer, bytes.byteOffset, ringBytes / 4);
    this.mask = ringBytes - 1;
  }

  /** Copies a frame in. False, and nothing changed, when it does not fit. */
  push(bytes: Uint8Array, offset: number, length: number): boolean {
    if (length > MAX_FRAME_BYTES) return false;
    const ringBytes = this.mask + 1;
    const recordBytes = (HEADER_BYTES + length + ALIGN_BYTES - 1) & -ALIGN_BYTES;
    let at = this.tail & this.mask;
    const toEnd = ringBytes - at;
    const skipBytes = recordBytes > toEnd ? toEnd : 0;
    const used = (this.tail - this.head) >>> 0;
    if (used + skipBytes + recordBytes > ringBytes) return false;
    if (skipBytes !== 0) {
      this.lengths[at >>> 2] = SKIP_TO_START;
      at = 0;
    }
    this.lengths[at >>> 2] = length;
    copyBytes(this.bytes, at + HEADER_BYTES, bytes, offset, length);
    this.tail = (this.tail + skipBytes + recordBytes) >>> 0;
    return true;
  }

  /** Offers frames in order and counts them, until the sink refuses, the ring is empty or `budget` were taken. */
  drain(sink: FrameSink, budget: number, stats: WireStats): number {
    const { lengths, bytes, mask } = this;
    let taken = 0;
    while (taken < budget && this.head !== this.tail) {
      const at = this.head & mask;
      const length = lengths[at >>> 2]!;
      if (length === SKIP_TO_START) {
        this.head = (this.head + mask + 1 - at) >>> 0;
        continue;
      }
      if (!sink(bytes, at + HEADER_BYTES, length)) break;
      this.head = (this.head + ((HEADER_BYTES + length + ALIGN_BYTES - 1) & -ALIGN_BYTES)) >>> 0;
      stats.rxFrames++;
      stats.rxBytes += length;
      taken++;
    }
    return taken;
  }
}
