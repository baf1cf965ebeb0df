/**
 * Pages' hashes for --verify, the same at either end.
 */
import { PAGE_BYTES } from '../hardware/units.js';
import { createHashedBuffer, createPageHelper, type PageHelper } from './page-helper.js';

/**
 * A page that the kernel never backed is zero and is not read: reading would fault it in, and the guest stands still
 * meanwhile.
 */
export class PageHasher {
  /** High half of the last hash. */
  high = 0;
  readonly #helper: PageHelper;
  readonly #unbacked: Uint8Array | null;
  readonly #zeroLow: number;
  readonly #zeroHigh: number;

  constructor(memory: WebAssembly.Memory, unbacked: Uint8Array | null) {
    this.#helper = createPageHelper(memory);
    this.#unbacked = unbacked;
    const zeroPage = createHashedBuffer(PAGE_BYTES);
    this.#zeroLow = zeroPage.hash(0, PAGE_BYTES);
    this.#zeroHigh = zeroPage.hashHigh();
  }

  /** Low half of the page's hash. */
  hash(page: number): number {
    if (this.#unbacked !== null && this.#unbacked[page] !== 0) {
      this.high = this.#zeroHigh;
      return this.#zeroLow;
    }
    const at = page * PAGE_BYTES;
    const low = this.#helper.hash(at, at + PAGE_BYTES);
    this.high = this.#helper.hashHigh();
    return low;
  }
}
