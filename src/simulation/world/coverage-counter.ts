/** Counts what a run reached, by the keys of coverage-keys.ts. */
export class CoverageCounter {
  readonly #times = new Map<string, number>();

  reach(key: string, times = 1): void {
    if (times > 0) this.#times.set(key, (this.#times.get(key) ?? 0) + times);
  }

  has(key: string): boolean {
    return this.#times.has(key);
  }

  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#times].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
