/**
 * PageSender: walks the map of pages to send and turns them into batches. A step function: whoever calls it (the sender
 * core, a test, a simulator) decides when and on which thread.
 *
 *   map byte set -> cleared -> page looked at -> all bytes the same: a word in the run table
 *                                             -> else: copied once, into a batch buffer behind room for its header
 *
 * A page may change while it is copied: whoever wrote it marked it in a log, and the next round sends it again.
 */
import type { Clock } from '../hardware/clock.js';
import { PAGE_BYTES, PAGE_SHIFT } from '../hardware/units.js';
import type { HashedBuffer, PageHelper } from './page-helper.js';
import type { FrameEncoder } from './stream/encoder.js';
import { FRAME, FRAME_HEADER_BYTES } from './stream/frame.js';
import { BATCH_TRAILER_BYTES, RUN_BYTES, runWord, writeRunTable } from './stream/page-batch.js';

/** Where full batches go. */
export interface BatchLink {
  /** A buffer of batchBufferBytes() to fill, or null while all are on their way. */
  take(): HashedBuffer | null;
  /** Sends the first bytes of it; the link gives it out again when they are gone. */
  put(buffer: HashedBuffer, frameBytes: number): void;
}

export interface PageSenderOptions {
  readonly memory: SharedArrayBuffer;
  readonly ramPages: number;
  /** One byte per page, 1: to send, or 0. Written by the engine between rounds. */
  readonly map: Uint8Array;
  readonly helper: PageHelper;
  readonly encoder: FrameEncoder;
  readonly link: BatchLink;
  readonly clock: Clock;
  readonly batchPages: number;
}

export const MAX_RUNS_PER_BATCH = 2048;
/** Pages looked at in one step at most, so that the caller's loop gets its turn. */
const PAGES_PER_STEP = 16384;
/** How much of a second's allowance may be sent at once under a bandwidth cap. */
const BURST_MS = 20;

export const batchBufferBytes = (batchPages: number): number =>
  FRAME_HEADER_BYTES + batchPages * PAGE_BYTES + MAX_RUNS_PER_BATCH * RUN_BYTES + BATCH_TRAILER_BYTES;

export class PageSender {
  /** Sent since construction; pages with data, in the batch or as what fills them, and pages of zeros. */
  bytes = 0;
  dataPages = 0;
  zeroPages = 0;
  readonly #o: PageSenderOptions;
  readonly #ram: Uint8Array;
  readonly #runs = new Uint32Array(MAX_RUNS_PER_BATCH * 2);
  #runCount = 0;
  #usedPages = 0;
  #buffer: HashedBuffer | null = null;
  /** Next page to look at; ramPages when the round is over. */
  #cursor: number;
  /** Pages from the cursor up to here are known to be marked. */
  #markedUntil = 0;
  /** Pages that the kernel never backed, for this round only: zero without a look. */
  #unbacked: Uint8Array | null = null;
  /** Pages from the cursor up to here are all backed, or all not. */
  #alikeUntil = 0;
  #areBacked = true;
  #bytesPerNs = 0;
  #allowanceBytes = 0;
  #allowanceAtNs = 0;

  constructor(options: PageSenderOptions) {
    this.#o = options;
    this.#ram = new Uint8Array(options.memory, 0, options.ramPages * PAGE_BYTES);
    this.#cursor = options.ramPages;
  }

  /** A new round over the whole map. `unbacked` marks with 1 pages that were never touched since the logs began. */
  begin(unbacked: Uint8Array | null = null): void {
    this.#cursor = 0;
    this.#markedUntil = 0;
    this.#unbacked = unbacked;
    this.#alikeUntil = unbacked === null ? this.#o.ramPages : 0;
    this.#areBacked = true;
  }

  /** True when everything marked at begin() was handed to the link. */
  get done(): boolean {
    return this.#cursor >= this.#o.ramPages && this.#runCount === 0;
  }

  /** 0: no cap. */
  setBandwidth(bytesPerSecond: number): void {
    this.#bytesPerNs = bytesPerSecond / 1e9;
    this.#allowanceBytes = 0;
    this.#allowanceAtNs = this.#o.clock.nowNs();
  }

  /** When the bandwidth cap lets the next batch go; 0: now. */
  nextDueNs(): number {
    if (this.#bytesPerNs === 0 || this.#refillAllowance() > 0) return 0;
    return this.#allowanceAtNs - this.#allowanceBytes / this.#bytesPerNs + 1;
  }

  /** Fills and hands over at most one batch. Returns the pages dealt with; 0: done, or no buffer, or not due yet. */
  step(): number {
    if (this.done || this.nextDueNs() > 0) return 0;
    this.#buffer ??= this.#o.link.take();
    const buffer = this.#buffer;
    if (buffer === null) return 0;
    const before = this.dataPages + this.zeroPages;
    const from = this.#cursor;
    const full = this.#fill(buffer);
    if (full || this.#cursor >= this.#o.ramPages) this.#flush(buffer);
    return Math.max(this.dataPages + this.zeroPages - before, this.#cursor > from ? 1 : 0);
  }

  /** Returns true when the batch can take no more. */
  #fill({ bytes }: HashedBuffer): boolean {
    const { map, ramPages, batchPages } = this.#o;
    const stopAt = Math.min(ramPages, this.#cursor + PAGES_PER_STEP);
    while (this.#cursor < stopAt) {
      if (this.#cursor >= this.#markedUntil && !this.#findMarked()) return false;
      const from = this.#cursor;
      const markedEnd = Math.min(this.#markedUntil, from + PAGES_PER_STEP);
      // read once: it may change meanwhile
      const byte = this.#firstByteOf(from);
      const filledEnd = this.#filledUntil(from, markedEnd, byte);
      if (filledEnd > from) {
        this.#addRun(from, filledEnd - from, byte);
        if (byte === 0) this.zeroPages += filledEnd - from;
        else this.dataPages += filledEnd - from;
      } else {
        const dataEnd = this.#dataUntil(from, Math.min(markedEnd, from + batchPages - this.#usedPages));
        const at = FRAME_HEADER_BYTES + this.#usedPages * PAGE_BYTES;
        bytes.set(this.#ram.subarray(from * PAGE_BYTES, dataEnd * PAGE_BYTES), at);
        this.#usedPages += dataEnd - from;
        this.dataPages += dataEnd - from;
        this.#addRun(from, dataEnd - from, null);
      }
      map.fill(0, from, this.#cursor);
      if (this.#usedPages === batchPages || this.#runCount === MAX_RUNS_PER_BATCH) return true;
    }
    return false;
  }

  #addRun(pfn: number, count: number, byte: number | null): void {
    this.#runs[this.#runCount * 2] = pfn;
    this.#runs[this.#runCount * 2 + 1] = runWord(count, byte);
    this.#runCount++;
    this.#cursor = pfn + count;
  }

  /** Moves the cursor to the next marked page and finds how far the marks go on. */
  #findMarked(): boolean {
    const { map, ramPages } = this.#o;
    this.#cursor = placeOf(1, map, this.#cursor, ramPages);
    this.#markedUntil = placeOf(0, map, this.#cursor, ramPages);
    return this.#cursor < ramPages;
  }

  #firstByteOf(pfn: number): number {
    this.#lookWhetherBacked(pfn);
    return this.#areBacked ? this.#ram[pfn * PAGE_BYTES]! : 0;
  }

  #filledUntil(from: number, end: number, byte: number): number {
    let pfn = from;
    while (pfn < end) {
      this.#lookWhetherBacked(pfn);
      const alikeEnd = Math.min(end, this.#alikeUntil);
      if (this.#areBacked) {
        const filledEnd = this.#o.helper.filledUntil(pfn << PAGE_SHIFT, alikeEnd << PAGE_SHIFT, byte);
        if (filledEnd >>> PAGE_SHIFT < alikeEnd) return filledEnd >>> PAGE_SHIFT;
      } else if (byte !== 0) return pfn;
      pfn = alikeEnd;
    }
    return end;
  }

  /** Memory is backed, or not, in long pieces: where this one ends is looked up once. */
  #lookWhetherBacked(pfn: number): void {
    const unbacked = this.#unbacked;
    if (unbacked === null || pfn < this.#alikeUntil) return;
    this.#areBacked = unbacked[pfn] === 0;
    this.#alikeUntil = placeOf(this.#areBacked ? 1 : 0, unbacked, pfn, this.#o.ramPages);
  }

  /** `from` is known to hold data; how far does data go on? */
  #dataUntil(from: number, end: number): number {
    const backedEnd = Math.min(end, this.#alikeUntil);
    return this.#o.helper.dataUntil((from + 1) << PAGE_SHIFT, backedEnd << PAGE_SHIFT) >>> PAGE_SHIFT;
  }

  #flush(buffer: HashedBuffer): void {
    if (this.#runCount === 0) return;
    const view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset + FRAME_HEADER_BYTES);
    const bytes = this.#usedPages * PAGE_BYTES;
    const payloadBytes = writeRunTable(view, bytes, this.#runs, this.#runCount);
    const hashLow = bytes === 0 ? 0 : buffer.hash(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bytes);
    const hashHigh = bytes === 0 ? 0 : buffer.hashHigh();
    const frameBytes = this.#o.encoder.seal(buffer.bytes, FRAME.pages, payloadBytes, {
      bytes,
      hashLow,
      hashHigh,
    });
    this.#runCount = 0;
    this.#usedPages = 0;
    this.#buffer = null;
    this.bytes += frameBytes;
    this.#allowanceBytes -= frameBytes;
    this.#o.link.put(buffer, frameBytes);
  }

  #refillAllowance(): number {
    const now = this.#o.clock.nowNs();
    const burstBytes = Math.max(this.#bytesPerNs * BURST_MS * 1e6, 1);
    const grown = this.#allowanceBytes + (now - this.#allowanceAtNs) * this.#bytesPerNs;
    this.#allowanceBytes = Math.min(grown, burstBytes);
    this.#allowanceAtNs = now;
    return this.#allowanceBytes;
  }
}

/** At memory speed, in code that is compiled already: a thread that lives for one migration has no time to warm up. */
function placeOf(byte: number, bytes: Uint8Array, from: number, end: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? end : at;
}
