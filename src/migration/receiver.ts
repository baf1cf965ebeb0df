/**
 * PageReceiver: puts batches into guest memory. Incremental: one batch at a time, from the decoder's buffer straight into
 * RAM. RAM is all zero when a migration begins, so a zero page is written only where data was written before: untouched
 * pages cost the destination no memory.
 */
import { PAGE_BYTES, PAGE_SHIFT } from '../hardware/units.js';
import { DEFAULT_LIMITS, type StreamLimits } from './stream/frame.js';
import { type BatchVisitor, visitBatch } from './stream/page-batch.js';

const WORD_BYTES = 8;
const WORDS_PER_PAGE = PAGE_BYTES / WORD_BYTES;
const EVERY_BYTE = 0x0101010101010101n;

export class PageReceiver implements BatchVisitor {
  /** Received since construction. */
  dataPages = 0;
  zeroPages = 0;
  readonly ramPages: number;
  readonly #ram: Uint8Array;
  /** Shared memory is filled element by element: eight bytes at a time. */
  readonly #ramWords: BigUint64Array;
  readonly #limits: StreamLimits;
  /** 1: data was put there at some time. */
  readonly #written: Uint8Array;

  constructor(memory: SharedArrayBuffer, ramBytes: number, limits: StreamLimits = DEFAULT_LIMITS) {
    this.ramPages = ramBytes >>> PAGE_SHIFT;
    this.#ram = new Uint8Array(memory, 0, ramBytes);
    this.#ramWords = new BigUint64Array(memory, 0, ramBytes / WORD_BYTES);
    this.#limits = limits;
    this.#written = new Uint8Array(this.ramPages);
  }

  /** Applies one batch whole, or throws StreamFormatError and applies nothing. Returns its pages. */
  apply(payload: Buffer): number {
    return visitBatch(payload, this.ramPages, this.#limits.maxRunsPerBatch, this);
  }

  data(pfn: number, count: number, payload: Buffer, offset: number): void {
    this.#ram.set(payload.subarray(offset, offset + count * PAGE_BYTES), pfn * PAGE_BYTES);
    this.#written.fill(1, pfn, pfn + count);
    this.dataPages += count;
  }

  filled(pfn: number, count: number, byte: number): void {
    if (byte === 0) {
      this.#zero(pfn, count);
      return;
    }
    this.#fill(pfn, count, byte);
    this.#written.fill(1, pfn, pfn + count);
    this.dataPages += count;
  }

  #zero(pfn: number, count: number): void {
    const written = this.#written.subarray(pfn, pfn + count);
    // most were never written, and are passed over at memory speed
    for (let at = written.indexOf(1); at >= 0; at = written.indexOf(1, at + 1)) {
      this.#fill(pfn + at, 1, 0);
      written[at] = 0;
    }
    this.zeroPages += count;
  }

  #fill(pfn: number, count: number, byte: number): void {
    this.#ramWords.fill(BigInt(byte) * EVERY_BYTE, pfn * WORDS_PER_PAGE, (pfn + count) * WORDS_PER_PAGE);
  }
}
