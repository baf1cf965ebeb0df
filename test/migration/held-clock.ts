/**
 * Limits that count from a deed on: until `release` no timer runs. Whatever a busy machine did before the deed was not what
 * took too long.
 */
import { realTimers, type TimerClock } from '../../src/hardware/clock.js';

export class HeldClock implements TimerClock {
  readonly nowNs = realTimers.nowNs;
  readonly yield = realTimers.yield;
  /** Starts each timer that waits; null once they are released. */
  #held: Set<() => void> | null = new Set();

  after(delayMs: number, call: () => void): () => void {
    const held = this.#held;
    if (held === null) return realTimers.after(delayMs, call);
    let stop = (): void => void held.delete(start);
    const start = (): void => {
      stop = realTimers.after(delayMs, call);
    };
    held.add(start);
    return () => stop();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const start of held) start();
  }
}
