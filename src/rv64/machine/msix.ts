/**
 * MSI-X of a function of the machine's own: a table of messages and their pending bits.
 *
 *   table at 0, 16 bytes a vector: address low, address high, data, control (bit 0: masked) | pending bits at PBA_OFFSET
 */
import { StateFields } from './state-fields.js';

const VERSION = 1;
const ENTRY_WORDS = 4;
const MASKED = 1;
export const PBA_OFFSET = 0x800;
export const MSIX_BAR_BYTES = 0x1000;
export const NO_VECTOR = 0xffff;

/** A message write on its way to the interrupt controller. */
export type SendMessage = (addressLow: number, addressHigh: number, data: number) => void;

export class MsixTable {
  readonly vectors: number;
  readonly #words: Uint32Array;
  readonly #send: SendMessage;
  readonly #isOn: () => boolean;
  #pending = 0;

  /** @param vectors at most 32. @param isOn MSI-X enabled, function not masked, bus mastering on */
  constructor(vectors: number, send: SendMessage, isOn: () => boolean) {
    this.vectors = vectors;
    this.#words = new Uint32Array(vectors * ENTRY_WORDS);
    for (let vector = 0; vector < vectors; vector++) this.#words[vector * ENTRY_WORDS + 3] = MASKED;
    this.#send = send;
    this.#isOn = isOn;
  }

  raise(vector: number): void {
    if (vector >= this.vectors) return;
    this.#pending |= 1 << vector;
    this.flush();
  }

  /** Sends what has been waiting for an unmask. */
  flush(): void {
    if (this.#pending === 0 || !this.#isOn()) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      const at = vector * ENTRY_WORDS;
      if ((this.#pending & (1 << vector)) === 0 || (this.#words[at + 3]! & MASKED) !== 0) continue;
      this.#pending &= ~(1 << vector);
      this.#send(this.#words[at]!, this.#words[at + 1]!, this.#words[at + 2]!);
    }
  }

  read(offset: number): number {
    if (offset === PBA_OFFSET) return this.#pending >>> 0;
    return this.#words[offset >> 2] ?? 0;
  }

  write(offset: number, value: number): void {
    if (offset >> 2 >= this.#words.length) return;
    this.#words[offset >> 2] = value;
    this.flush();
  }

  save() {
    return { version: VERSION, words: [...this.#words], pending: this.#pending >>> 0 };
  }

  restore(where: string, value: unknown): void {
    const fields = new StateFields(`${where}'s MSI-X table`, value, VERSION);
    this.#words.set(fields.words('words', this.#words.length));
    this.#pending = fields.word('pending');
  }
}
