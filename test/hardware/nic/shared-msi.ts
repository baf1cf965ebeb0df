/** Interrupts as a count in shared memory that another thread can wait on. */
import type { MsiSink } from '../../../src/hardware/pci/msi.js';

export const WORD = { interrupts: 0, work: 1, total: 2, stop: 3 } as const;

export class CountingMsi implements MsiSink {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  deliver(): void {
    Atomics.add(this.words, WORD.interrupts, 1);
    Atomics.notify(this.words, WORD.interrupts);
  }
}
