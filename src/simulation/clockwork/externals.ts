/**
 * Real asynchronous work (an import, a compilation) in virtual time: it takes none. Results are handed over one by one in
 * the order in which the work was announced, whichever was done first.
 */
interface External {
  /** Settles when the work has, never rejects. */
  readonly settled: Promise<unknown>;
  readonly handOver: () => void;
}

export class Externals {
  readonly #pending: External[] = [];
  #handingOver: Promise<void> | null = null;

  get areSettled(): boolean {
    return this.#handingOver === null;
  }

  announce<T>(work: Promise<T>): Promise<T> {
    const result = new Promise<T>((resolve) => {
      const settled = work.then(
        () => undefined,
        () => undefined,
      );
      this.#pending.push({ settled, handOver: () => resolve(work) });
    });
    this.#handingOver ??= this.#handAllOver();
    return result;
  }

  /** Resolves when nothing is under way and what waited for it has gone on. */
  async settle(): Promise<void> {
    while (this.#handingOver !== null) await this.#handingOver;
  }

  async #handAllOver(): Promise<void> {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      await next.settled;
      next.handOver();
      await macrotask();
    }
    this.#handingOver = null;
  }
}

/** A turn of the real event loop: whatever could go on has gone on. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
