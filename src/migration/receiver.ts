/**
 * PageReceiver: puts batches into guest memory. Incremental: one batch at a time, from the decoder's buffer straight into
 * RAM. RAM is all zero when a migration begins, so a zero page is written only where data was written before: untouched
 * pages cost the destination no memory.
 */
import { PAGE_BYTES, PAGE_SHIFT } from '../hardware/units.js';
import { DEFAULT_LIMITS, type StreamLimits } from './stream/frame.js';
import { type BatchVisitor, visitBatch } from './stream/page-batch.js';

export class PageReceiver implements BatchVisitor {
  /** Received since construction. */
  dataPages = 0;
  zeroPages = 0;
  readonly ramPages: number;
  readonly #ram: Uint8Array;
  readonly #limits: StreamLimits;
  /** 1: data was put there at some time. */
  readonly #written: Uint8Array;

  constructor(memory: SharedArrayBuffer, ramBytes: number, limits: StreamLimits = DEFAULT_LIMITS) {
    this.ramPages = ramBytes >>> PAGE_SHIFT;
    this.#ram = new Uint8Array(memory, 0, ramBytes);
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

  zero(pfn: number, count: number): void {
    const written = this.#written.subarray(pfn, pfn + count);
    // most were never written, and are passed over at memory speed
    for (let at = written.indexOf(1); at >= 0; at = written.indexOf(1, at + 1)) {
      this.#ram.fill(0, (pfn + at) * PAGE_BYTES, (pfn + at + 1) * PAGE_BYTES);
      written[at] = 0;
    }
    this.zeroPages += count;
  }
}
