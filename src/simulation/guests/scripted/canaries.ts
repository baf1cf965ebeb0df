/**
 * Words of the guest's own in the last bytes of a buffer's granules: in a page that the device may be writing to, the CPU
 * stores too, and neither may take the other's bytes away.
 */
import { complain } from './complaints.js';
import { GRANULE_BYTES } from './places.js';
import type { GuestState } from './state.js';

export class Canaries {
  readonly #state: GuestState;

  constructor(state: GuestState) {
    this.#state = state;
  }

  /** @returns the word that now stands beside the buffer; never 0 */
  write(buffer: number, granules: number): number {
    const canary = this.#state.nextU32() | 1;
    this.#state.ram.store(addressOf(buffer, granules), canary);
    return canary | 0;
  }

  /** @param canary 0: there is none */
  check(buffer: number, granules: number, canary: number): void {
    if (canary === 0) return;
    const address = addressOf(buffer, granules);
    const found = this.#state.ram.load(address);
    if (found !== canary) complain(this.#state, 'canary-gone', address, canary, found);
  }
}

/** No skew reaches that far. */
const addressOf = (buffer: number, granules: number): number => buffer + granules * GRANULE_BYTES - 4;
