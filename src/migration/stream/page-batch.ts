/**
 * The payload of a `pages` frame: page data first, then what it is.
 *
 *   | data pages, 4096 bytes each | runs: u32 pfn, u32 word | u32 runs, u32 zero |
 *
 *   word:   31       30..23   22..0
 *         | filled | byte   | count |
 *
 * A run is `count` pages from `pfn` on; either their data lies next in the data part, or all bytes of all of them are the
 * same and there is none: zero, mostly, or what a kernel overwrites freed memory with. The table comes last so that a batch
 * is built in one pass.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import { StreamFormatError } from '../errors.js';

export const RUN_BYTES = 8;
export const BATCH_TRAILER_BYTES = 8;
const FILLED_FLAG = 0x80000000;
const BYTE_SHIFT = 23;
/** 32 GiB: more than a guest's RAM has. */
const COUNT_MASK = (1 << BYTE_SHIFT) - 1;

/** Writes the table behind `dataBytes` of data. `runs` holds pairs as encoded by runWord. Returns the payload's length. */
export function writeRunTable(
  payload: DataView,
  dataBytes: number,
  runs: Uint32Array,
  runCount: number,
): number {
  let at = dataBytes;
  for (let i = 0; i < runCount * 2; i++, at += 4) payload.setUint32(at, runs[i]!, true);
  payload.setUint32(at, runCount, true);
  payload.setUint32(at + 4, 0, true);
  return at + BATCH_TRAILER_BYTES;
}

/** @param byte what fills the pages; null: they are in the data part. */
export const runWord = (count: number, byte: number | null): number =>
  byte === null ? count : (FILLED_FLAG | (byte << BYTE_SHIFT) | count) >>> 0;

export interface BatchVisitor {
  data(pfn: number, count: number, payload: Buffer, offset: number): void;
  filled(pfn: number, count: number, byte: number): void;
}

const bad = (what: string): StreamFormatError =>
  new StreamFormatError(`migration stream: page batch: ${what}`);

/**
 * Checks the whole table, then visits its runs. Nothing is visited when anything is wrong.
 * @returns pages in the batch
 */
export function visitBatch(
  payload: Buffer,
  ramPages: number,
  maxRuns: number,
  visitor: BatchVisitor,
): number {
  if (payload.length < BATCH_TRAILER_BYTES) throw bad('shorter than its trailer');
  const runCount = payload.readUInt32LE(payload.length - BATCH_TRAILER_BYTES);
  if (payload.readUInt32LE(payload.length - 4) !== 0) throw bad('trailer is not as it should be');
  if (runCount < 1 || runCount > maxRuns) throw bad(`${runCount} runs; 1..${maxRuns} are allowed`);
  const tableAt = payload.length - BATCH_TRAILER_BYTES - runCount * RUN_BYTES;
  if (tableAt < 0) throw bad(`no room for ${runCount} runs`);
  if (tableAt % PAGE_BYTES !== 0) throw bad('page data is not whole pages');
  checkRuns(payload, tableAt, runCount, ramPages);
  let dataAt = 0;
  let pages = 0;
  for (let i = 0; i < runCount; i++) {
    const at = tableAt + i * RUN_BYTES;
    const pfn = payload.readUInt32LE(at);
    const word = payload.readUInt32LE(at + 4);
    const count = countOf(word);
    pages += count;
    if (word >= FILLED_FLAG) {
      visitor.filled(pfn, count, (word >>> BYTE_SHIFT) & 0xff);
    } else {
      visitor.data(pfn, count, payload, dataAt);
      dataAt += count * PAGE_BYTES;
    }
  }
  return pages;
}

/** What is no fill has no byte: those bits are its count's, and too many pages. */
const countOf = (word: number): number => (word >= FILLED_FLAG ? word & COUNT_MASK : word);

function checkRuns(payload: Buffer, tableAt: number, runCount: number, ramPages: number): void {
  let dataPages = 0;
  for (let i = 0; i < runCount; i++) {
    const at = tableAt + i * RUN_BYTES;
    const pfn = payload.readUInt32LE(at);
    const word = payload.readUInt32LE(at + 4);
    const count = countOf(word);
    if (count < 1 || pfn + count > ramPages)
      throw bad(`pages ${pfn}+${count} lie outside RAM of ${ramPages} pages`);
    if (word < FILLED_FLAG) dataPages += count;
  }
  if (dataPages * PAGE_BYTES !== tableAt) {
    throw bad(`the runs need ${dataPages} data pages, ${tableAt / PAGE_BYTES} are there`);
  }
}
