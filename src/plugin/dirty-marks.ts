/** The marks a tracker makes: a SharedDirtyMap's bytes with the few ways in that a plugin is given. */
import { PAGE_BYTES, PAGE_SHIFT } from '../hardware/units.js';
import type { DirtyMarks } from './device-view.js';

export class SharedDirtyMarks implements DirtyMarks {
  readonly pages: number;
  readonly #bytes: Uint8Array;

  /** @param buffer one byte per page, as SharedDirtyMap wants it; its length is a multiple of 4. */
  constructor(buffer: SharedArrayBuffer, pages: number) {
    this.pages = pages;
    this.#bytes = new Uint8Array(buffer, 0, pages);
  }

  // a store past the array's end is ignored by the language: no check of our own in the hot path
  mark(page: number): void {
    this.#bytes[page] = 1;
  }

  markRange(address: number, bytes: number): void {
    if (bytes <= 0 || address < 0) return;
    const last = Math.min(this.pages - 1, Math.floor((address + bytes - 1) / PAGE_BYTES));
    for (let page = Math.floor(address / PAGE_BYTES); page <= last; page++) this.#bytes[page] = 1;
  }

  markAll(): void {
    this.#bytes.fill(1);
  }
}

/** Bytes of a map for `ramBytes` of guest RAM: one per page, rounded up to whole words. */
export const dirtyMapBytes = (ramBytes: number): number => Math.ceil((ramBytes >>> PAGE_SHIFT) / 4) * 4;
