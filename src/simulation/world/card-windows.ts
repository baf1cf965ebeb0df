/**
 * How anybody but the engine gets at a simulated card: what the bus and the scheduler do on the way.
 *
 *   read:   others may run (a scheduling point) -> what the card posted lands -> the read
 *   write:  the write -> the engine looks at its doorbell
 *   wait:   everybody else runs until the word changes or the time is up
 */
import type { WordWait } from '../../hardware/clock.js';
import type { RegisterWindow } from '../../hypervisor/pf-window.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { VirtualCore } from '../clockwork/virtual-core.js';

/** What the windows need of the card's engine. */
export interface CardEngine {
  landAll(): void;
  look(): void;
  /** Whether these words wait for an engine that is in the middle of a step, below us: nothing can come of that. */
  cannotAnswer(words: Int32Array): boolean;
}

export class CardWindows {
  readonly #scheduler: Scheduler;
  readonly #engine: () => CardEngine | null;
  /** Cores that sleep on words others change: they are woken whenever somebody waits. */
  readonly #wakeSleepers: () => void;

  constructor(scheduler: Scheduler, engine: () => CardEngine | null, wakeSleepers: () => void) {
    this.#scheduler = scheduler;
    this.#engine = engine;
    this.#wakeSleepers = wakeSleepers;
  }

  /** @param core null: the main thread, which is an event and not interrupted */
  beforeRead(core: VirtualCore | null): void {
    if (core !== null) this.#scheduler.point(core);
    this.#engine()?.landAll();
  }

  afterWrite(): void {
    this.#engine()?.look();
  }

  wrap(window: RegisterWindow, beforeRead: () => void): RegisterWindow {
    return {
      read32: (offset) => {
        beforeRead();
        return window.read32(offset);
      },
      write32: (offset, value) => {
        window.write32(offset, value);
        this.afterWrite();
      },
    };
  }

  /** The main thread's. */
  wrapForMain(window: RegisterWindow): RegisterWindow {
    return this.wrap(window, () => this.beforeRead(null));
  }

  /** How a core of this host blocks. */
  waitOf(core: () => VirtualCore | null): WordWait {
    return (words, index, seen, limitMs) => {
      const engine = this.#engine();
      // as after any wait, whoever asked looks again, and finds the engine slow
      if (engine?.cannotAnswer(words)) return;
      this.#wakeSleepers();
      engine?.look();
      this.#scheduler.pumpUntil(core(), () => Atomics.load(words, index) !== seen, limitMs * 1e6);
    };
  }
}
