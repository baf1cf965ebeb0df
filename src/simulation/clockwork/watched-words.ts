/** Who waits for a shared word to change. Looked at after every event, so that no notify is needed. */
import type { HostTime } from './host-time.js';

interface Watch {
  readonly words: Int32Array;
  readonly index: number;
  readonly seen: number;
  readonly host: HostTime | null;
  readonly changed: () => void;
}

export class WatchedWords {
  readonly #watches: Watch[] = [];

  add(watch: Watch): void {
    this.#watches.push(watch);
  }

  /** Tells those whose word is another one now. */
  look(): void {
    const watches = this.#watches;
    for (let i = 0; i < watches.length; i++) {
      const watch = watches[i]!;
      if (Atomics.load(watch.words, watch.index) === watch.seen && !watch.host?.isCrashed) continue;
      watches.splice(i--, 1);
      if (!watch.host?.isCrashed) watch.changed();
    }
  }
}
