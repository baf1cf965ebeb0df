/** Wakes a core when a shared word changes: what Atomics.wait is to a thread. */
import type { Scheduler } from '../clockwork/scheduler.js';

export class WordWatch {
  readonly #scheduler: Scheduler;
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #changed: () => void;
  #isWatching = false;

  constructor(scheduler: Scheduler, words: Int32Array, index: number, changed: () => void) {
    this.#scheduler = scheduler;
    this.#words = words;
    this.#index = index;
    this.#changed = changed;
  }

  /** Once, as soon as the word is no longer `seen`. */
  watch(seen = Atomics.load(this.#words, this.#index)): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    void this.#scheduler.whenChanged(this.#words, this.#index, seen).then(() => {
      this.#isWatching = false;
      this.#changed();
    });
  }
}
