/**
 * One function's IOMMU domain: every address that a device puts on the bus passes translate(), every byte that it writes
 * one of the write methods.
 *
 *   device:  translate(iova, bytes, write) -> offset in memory, or FAULT (counted, nothing touched)
 *            write*(offset, ...)            the bytes, then markWritten(): ground truth, and dirty bits when they are on
 *            beforeRead(offset, bytes)      then it looks at the memory itself
 *
 * The order matters: a page marked before its bytes are there could be harvested and copied too early. Here a write
 * lands at once; one that is posted and lands later is a subclass's affair, and a read must not overtake it.
 */
import { type Bytes, copyBytes } from '../bytes.js';
import { PAGE_BYTES, PAGE_SHIFT } from '../units.js';
import { DOMAIN_CONTROL_BYTES, DOMAIN_WORD, type DomainHandle, type IovaRange } from './handle.js';

/** What translate() returns for an address that the domain does not map. */
export const FAULT = -1;
export const MAX_RANGES = 8;
const DESCRIPTOR_BYTES = 16;

/** IOVAs are plain doubles here: a high word beyond this is not representable, and no domain maps it. */
const MAX_IOVA_HIGH = 0x1f_ffff;

/** A range table that cannot be mapped. */
export class DomainRangeError extends Error {
  override name = 'DomainRangeError';
}

/**
 * Makes the shared buffers of a domain over `memory`.
 *
 * @param options.dirtyBits the IOMMU has dirty bits (they still have to be switched on: DOMAIN_WORD.dirtyBitsOn).
 * @throws DomainRangeError when a range is unaligned, empty or outside `memory`.
 */
export function createDomainHandle(
  memory: SharedArrayBuffer,
  ranges: readonly IovaRange[],
  options: { dirtyBits?: boolean } = {},
): DomainHandle {
  if (ranges.length > MAX_RANGES) {
    throw new DomainRangeError(`${ranges.length} ranges, a domain holds at most ${MAX_RANGES}`);
  }
  for (const range of ranges) checkRange(range, memory.byteLength);
  const pages = Math.ceil(memory.byteLength / PAGE_BYTES);
  return {
    memory,
    ranges: ranges.map((range) => ({ ...range })),
    truth: new SharedArrayBuffer(pages),
    dirtyBits: options.dirtyBits === true ? new SharedArrayBuffer(pages) : null,
    control: new SharedArrayBuffer(DOMAIN_CONTROL_BYTES),
  };
}

function checkRange(range: IovaRange, memoryBytes: number): void {
  const { iovaStart, memoryOffset, bytes } = range;
  const where = `range ${iovaStart}+${bytes} at memory offset ${memoryOffset}`;
  for (const value of [iovaStart, memoryOffset, bytes]) {
    if (!Number.isSafeInteger(value) || value < 0 || value % PAGE_BYTES !== 0) {
      throw new DomainRangeError(`${where}: start, offset and size must be multiples of ${PAGE_BYTES}`);
    }
  }
  if (bytes === 0 || memoryOffset + bytes > memoryBytes) {
    throw new DomainRangeError(`${where}: empty, or past the memory's ${memoryBytes} bytes`);
  }
}

/** A thread's view of a domain. Make one per thread and keep it: the views are what the hot paths index. */
export class IommuDomain {
  readonly handle: DomainHandle;
  /** The whole memory, as bytes, as words, as doubles and unaligned. */
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
  /** What a copier needs to know of `u8`: shared memory, beginning at a multiple of 8. */
  readonly shared = true;
  readonly skew = 0;
  readonly #truth: Uint8Array;
  readonly #dirty: Uint8Array | null;
  readonly #control: Int32Array;
  // first range apart: guest RAM, identity mapped, is nearly every access
  readonly #firstStart: number;
  readonly #firstBytes: number;
  readonly #firstOffset: number;
  readonly #firstWritable: boolean;
  // two words become one 8-byte store by way of a double, see #storePair()
  readonly #pairWords = new Int32Array(2);
  readonly #pairDouble = new Float64Array(this.#pairWords.buffer);

  constructor(handle: DomainHandle) {
    this.handle = handle;
    const memory = handle.memory;
    this.u8 = new Uint8Array(memory);
    this.i32 = new Int32Array(memory, 0, memory.byteLength >>> 2);
    this.f64 = new Float64Array(memory, 0, memory.byteLength >>> 3);
    this.view = new DataView(memory);
    this.#truth = new Uint8Array(handle.truth);
    this.#dirty = handle.dirtyBits === null ? null : new Uint8Array(handle.dirtyBits);
    this.#control = new Int32Array(handle.control);
    const first = handle.ranges[0];
    this.#firstStart = first?.iovaStart ?? 0;
    this.#firstBytes = first?.bytes ?? 0;
    this.#firstOffset = first?.memoryOffset ?? 0;
    this.#firstWritable = first?.writable ?? false;
  }

  /**
   * Where `bytes` bytes at an IOVA (two 32-bit halves, signed or not) lie in the memory, all within one range.
   * FAULT when they do not, or may not be written: counted and remembered in the domain's control words.
   */
  translate(iovaLow: number, iovaHigh: number, bytes: number, write: boolean): number {
    if (iovaHigh === 0) {
      const into = (iovaLow >>> 0) - this.#firstStart;
      if (into >= 0 && into + bytes <= this.#firstBytes && (this.#firstWritable || !write)) {
        return this.#firstOffset + into;
      }
    }
    return this.#translateSlow(iovaLow >>> 0, iovaHigh >>> 0, bytes, write);
  }

  /** To be called before the device reads memory: what it wrote there before must have landed. */
  beforeRead(_offset: number, _bytes: number): void {}

  /** @param length at most 64 KiB. */
  write(offset: number, from: Bytes, fromOffset: number, length: number): void {
    copyBytes(from, fromOffset, this, offset, length);
    this.markWritten(offset, length);
  }

  /** A whole descriptor; its last two words, where drivers look for the done bit, in one store after the others. */
  writeDescriptor(offset: number, word0: number, word1: number, word2: number, word3: number): void {
    this.i32[offset >>> 2] = word0;
    this.i32[(offset >>> 2) + 1] = word1;
    this.#storePair(offset + 8, word2, word3);
    this.markWritten(offset, DESCRIPTOR_BYTES);
  }

  /** A descriptor's last two words; the first two stay. */
  writeDescriptorEnd(offset: number, word2: number, word3: number): void {
    this.#storePair(offset + 8, word2, word3);
    this.markWritten(offset, DESCRIPTOR_BYTES);
  }

  /** A word at any address. */
  writeWord(offset: number, value: number): void {
    this.view.setInt32(offset, value, true);
    this.markWritten(offset, 4);
  }

  /**
   * In one 8-byte store, so that neither a driver that polls the done bit (first word) nor one that polls the length
   * (second) sees half of it. A double is the only 8-byte store that costs nothing here; patterns that are a NaN, which
   * might not survive, go through a slower one.
   */
  #storePair(offset: number, first: number, second: number): void {
    if ((second & 0x7ff0_0000) !== 0x7ff0_0000) {
      this.#pairWords[0] = first;
      this.#pairWords[1] = second;
      this.f64[offset >>> 3] = this.#pairDouble[0]!;
    } else {
      this.view.setBigUint64(offset, (BigInt(second >>> 0) << 32n) | BigInt(first >>> 0), true);
    }
  }

  /** Call after the bytes were written. */
  markWritten(offset: number, bytes: number): void {
    const truth = this.#truth;
    const control = this.#control;
    const last = (offset + bytes - 1) >>> PAGE_SHIFT;
    for (let page = offset >>> PAGE_SHIFT; page <= last; page++) truth[page] = 1;
    if (this.#dirty !== null && control[DOMAIN_WORD.dirtyBitsOn] !== 0) this.#markDirty(offset, last);
    // plain adds: a domain is written by one NIC's thread, and a lost count between two cards is only a statistic
    control[DOMAIN_WORD.bytesWrittenLow] = (control[DOMAIN_WORD.bytesWrittenLow]! + bytes) | 0;
  }

  /** Counts bytes that the device fetched (payload; descriptors are not worth counting). */
  countRead(bytes: number): void {
    const control = this.#control;
    control[DOMAIN_WORD.bytesReadLow] = (control[DOMAIN_WORD.bytesReadLow]! + bytes) | 0;
  }

  #markDirty(offset: number, lastPage: number): void {
    const dirty = this.#dirty!;
    for (let page = offset >>> PAGE_SHIFT; page <= lastPage; page++) dirty[page] = 1;
  }

  #translateSlow(low: number, high: number, bytes: number, write: boolean): number {
    if (high <= MAX_IOVA_HIGH) {
      const address = high * 0x1_0000_0000 + low;
      for (const range of this.handle.ranges) {
        const into = address - range.iovaStart;
        if (into >= 0 && into + bytes <= range.bytes && (range.writable || !write)) {
          return range.memoryOffset + into;
        }
      }
    }
    const control = this.#control;
    Atomics.store(control, DOMAIN_WORD.lastFaultLow, low | 0);
    Atomics.store(control, DOMAIN_WORD.lastFaultHigh, high | 0);
    Atomics.add(control, write ? DOMAIN_WORD.writeFaults : DOMAIN_WORD.readFaults, 1);
    return FAULT;
  }
}
