/**
 * Steps that can be interrupted: each has a limit, each ends at once when the user cancels. A step that was left behind is
 * remembered, because undoing may begin only when it has ended (a pause that completes after the rollback's resume would
 * leave the guest standing).
 */
import { MigrationCancelledError, MigrationTimeoutError } from './errors.js';
import type { TimerClock } from './ports.js';

export class Interruptible {
  readonly #clock: TimerClock;
  readonly #leftBehind = new Set<Promise<unknown>>();
  readonly #interrupts = new Set<(error: Error) => void>();
  #cancelled: Error | null = null;

  constructor(clock: TimerClock) {
    this.#clock = clock;
  }

  get isCancelled(): boolean {
    return this.#cancelled !== null;
  }

  /** Ends the step under way and every later one. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = new MigrationCancelledError('the migration was cancelled');
    for (const interrupt of [...this.#interrupts]) interrupt(this.#cancelled);
  }

  /**
   * Waits for `step`, at most `limitMs`.
   * @param undoWaits false for a step that may go on while others are undone: one that only reads, or talks to the link
   */
  run<T>(what: string, limitMs: number, step: () => Promise<T>, undoWaits = true): Promise<T> {
    if (this.#cancelled) return Promise.reject(this.#cancelled);
    const running = Promise.resolve().then(step);
    if (undoWaits) this.#leftBehind.add(running);
    const forget = (): void => {
      this.#leftBehind.delete(running);
    };
    running.then(forget, forget);
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        stopTimer();
        this.#interrupts.delete(interrupt);
      };
      const interrupt = (error: Error): void => {
        settle();
        reject(error);
      };
      const stopTimer = this.#clock.after(limitMs, () =>
        interrupt(new MigrationTimeoutError(`${what} took longer than ${limitMs} ms`)),
      );
      this.#interrupts.add(interrupt);
      running.then(
        (value) => {
          settle();
          resolve(value);
        },
        (error) => {
          settle();
          reject(error);
        },
      );
    });
  }

  /** Resolves when every step left behind has ended, or after the limit. Returns whether all did. */
  async settled(limitMs: number): Promise<boolean> {
    const all = Promise.allSettled([...this.#leftBehind]);
    let stopTimer = (): void => {};
    const limit = new Promise<void>((resolve) => {
      stopTimer = this.#clock.after(limitMs, resolve);
    });
    await Promise.race([all, limit]);
    stopTimer();
    return this.#leftBehind.size === 0;
  }
}
