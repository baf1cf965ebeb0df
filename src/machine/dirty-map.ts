/**
 * A dirty map: one byte per 4 KiB page, in shared memory. A byte, not a bit: marking is then a plain byte store, which
 * generated code and every thread can do without an atomic read-modify-write. Harvesting swaps whole words out, so a
 * mark that lands between two harvests is seen by exactly one of them.
 *
 *   marker:     [write the page]  then  [mark]          (after: a page marked first could be harvested, copied, then written)
 *   harvester:  [take the mark]   then  [copy the page]
 */
import type { Pfn } from '../hardware/units.js';

export interface DirtyMap {
  /** Marks one page dirty. Out-of-range page numbers are ignored. */
  mark(page: Pfn): void;
  isMarked(page: Pfn): boolean;
  /** Moves every mark into `into` (ORs; one byte per page) and clears it here. Returns pages that were marked here. */
  harvest(into: Uint8Array): number;
}

export class SharedDirtyMap implements DirtyMap {
  readonly pages: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  /** @param byteOffset multiple of 4. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, pages: number) {
    this.pages = pages;
    this.#bytes = new Uint8Array(buffer, byteOffset, pages);
    this.#words = new Int32Array(buffer, byteOffset, Math.ceil(pages / 4));
  }

  mark(page: Pfn): void {
    if (page < this.pages) this.#bytes[page] = 1;
  }

  isMarked(page: Pfn): boolean {
    return page < this.pages && this.#bytes[page] !== 0;
  }

  harvest(into: Uint8Array): number {
    const words = this.#words;
    let found = 0;
    for (let w = 0; w < words.length; w++) {
      // the plain read skips clean words at memory speed; a mark that races with it is found by the next harvest
      if (words[w] === 0) continue;
      const taken = Atomics.exchange(words, w, 0);
      const page = w << 2;
      for (let b = 0; b < 4; b++) {
        if (((taken >>> (b << 3)) & 0xff) === 0 || page + b >= this.pages) continue;
        into[page + b] = 1;
        found++;
      }
    }
    return found;
  }
}

/** Tracking off: costs nothing and never reports a page. */
export const noDirtyMap: DirtyMap = {
  mark() {},
  isMarked: () => false,
  harvest: () => 0,
};
