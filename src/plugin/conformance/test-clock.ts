/** Virtual time: it passes only when someone says so. */
import type { Clock } from '../../hardware/clock.js';

export class TestClock implements Clock {
  #nowNs = 1_000_000_000;

  nowNs(): number {
    return this.#nowNs;
  }

  advance(ns: number): void {
    this.#nowNs += ns;
  }
}
