/** Virtual time: it passes only when someone says so, and calls back then. */
import type { TimerClock } from '../../hardware/clock.js';

interface Timer {
  readonly dueNs: number;
  readonly call: () => void;
}

export class TestClock implements TimerClock {
  #nowNs = 1_000_000_000;
  readonly #timers = new Set<Timer>();

  nowNs(): number {
    return this.#nowNs;
  }

  advance(ns: number): void {
    this.#nowNs += ns;
    for (const timer of this.#timers) {
      if (timer.dueNs > this.#nowNs) continue;
      this.#timers.delete(timer);
      timer.call();
    }
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { dueNs: this.#nowNs + delayMs * 1e6, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}
