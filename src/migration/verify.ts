/**
 * --verify, both halves.
 *
 *   pages:  the source hashes every page after the device is quiet; the destination compares before anything runs there
 *   DMA:    what the IOMMU recorded as written against what the tracker marked: missed and over-marked pages
 */
import { PAGE_BYTES } from '../hardware/units.js';
import type { BackedPages } from './backed-pages.js';
import { StreamFormatError } from './errors.js';
import { PageHasher } from './page-hasher.js';
import { MAX_NAMED_PAGES, type VerifyVerdict } from './stream/records.js';

const HASH_BYTES = 8;
const HASHES_HEADER_BYTES = 8;

/** Destination: holds the source's hashes against RAM as it was received. */
export class PageVerifier {
  readonly #memory: WebAssembly.Memory;
  readonly #findBacked: () => BackedPages | null;
  readonly #ramPages: number;
  #hasher: PageHasher | null = null;
  #next = 0;
  #differing = 0;
  readonly #named: number[] = [];

  /** @param findBacked asked when the first hashes come: an acceptance does not wait for it. */
  constructor(
    memory: WebAssembly.Memory,
    ramPages: number,
    findBacked: () => BackedPages | null = () => null,
  ) {
    this.#memory = memory;
    this.#findBacked = findBacked;
    this.#ramPages = ramPages;
  }

  /** One `hashes` frame: u32 first page, u32 count, then 8 bytes a page. Frames cover RAM in order. */
  compare(payload: Buffer): void {
    if (payload.length < HASHES_HEADER_BYTES)
      throw new StreamFormatError('migration stream: hashes without a header');
    const first = payload.readUInt32LE(0);
    const count = payload.readUInt32LE(4);
    if (
      first !== this.#next ||
      count > this.#ramPages - first ||
      payload.length !== HASHES_HEADER_BYTES + count * HASH_BYTES
    ) {
      throw new StreamFormatError(`migration stream: hashes of pages ${first}+${count} do not fit here`);
    }
    // looked up when the first hashes come: all pages have been received by then
    this.#hasher ??= new PageHasher(this.#memory, this.#findBacked()?.unbacked() ?? null);
    const hasher = this.#hasher;
    for (let i = 0, at = HASHES_HEADER_BYTES; i < count; i++, at += HASH_BYTES) {
      const low = hasher.hash(first + i);
      if (low === payload.readUInt32LE(at) && hasher.high === payload.readUInt32LE(at + 4)) continue;
      this.#differing++;
      if (this.#named.length < MAX_NAMED_PAGES) this.#named.push(first + i);
    }
    this.#next = first + count;
  }

  verdict(): VerifyVerdict {
    return { pagesCompared: this.#next, pagesDiffering: this.#differing, differing: this.#named };
  }
}

/** What the tracker caught of what DMA wrote, from the beginning of tracking to the last harvest. */
export interface DmaCoverage {
  readonly pagesWritten: number;
  readonly pagesMarked: number;
  readonly pagesMissed: number;
  /** Of the missed ones, those that the vCPU's log has not either: where the guest helps, its log is what counts. */
  readonly pagesInNoLog: number;
  /** Marked, never written: copied for nothing. */
  readonly pagesOverMarked: number;
  readonly missed: readonly number[];
  readonly overMarked: readonly number[];
}

/**
 * @param written ground truth, one byte per page
 * @param marked the tracker's marks
 * @param around written while tracking was being started: marked or not, both are right
 * @param cpu what the vCPU's log had in the same time
 */
export function dmaCoverage(
  written: Uint8Array,
  marked: Uint8Array,
  around: Uint8Array,
  cpu: Uint8Array,
): DmaCoverage {
  let pagesWritten = 0;
  let pagesMarked = 0;
  const missed: number[] = [];
  const overMarked: number[] = [];
  for (let page = 0; page < written.length; page++) {
    if (written[page] !== 0) pagesWritten++;
    if (marked[page] !== 0) pagesMarked++;
    if (written[page] !== 0 && marked[page] === 0) missed.push(page);
    if (marked[page] !== 0 && written[page] === 0 && around[page] === 0) overMarked.push(page);
  }
  return {
    pagesWritten,
    pagesMarked,
    pagesMissed: missed.length,
    pagesInNoLog: missed.filter((page) => cpu[page] === 0).length,
    pagesOverMarked: overMarked.length,
    missed: missed.slice(0, MAX_NAMED_PAGES),
    overMarked: overMarked.slice(0, MAX_NAMED_PAGES),
  };
}

/** "pages 12, 13, 99 and 4 more", as addresses a person can look up. */
export function namePages(pages: readonly number[], total: number): string {
  const shown = pages.slice(0, 8).map((page) => `0x${(page * PAGE_BYTES).toString(16)}`);
  const rest = total - shown.length;
  return `${total === 1 ? 'page' : 'pages'} at ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
