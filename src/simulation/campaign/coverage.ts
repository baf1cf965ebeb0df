/**
 * What the seeds of a campaign reached, summed, against the declared list: a row per group, and by name what was never
 * reached.
 */
import { COVERAGE, COVERAGE_KEYS } from '../coverage-keys.js';

/** One group's share of the table. */
export interface CoverageRow {
  readonly group: string;
  readonly what: string;
  readonly declared: number;
  readonly reached: readonly { readonly key: string; readonly seeds: number; readonly times: number }[];
  readonly never: readonly string[];
}

export class Coverage {
  /** By full key: in how many seeds, and how often in all. */
  readonly #sums = new Map<string, { seeds: number; times: number }>();

  add({ reached }: { readonly reached: Readonly<Record<string, number>> }): void {
    for (const [key, times] of Object.entries(reached)) {
      if (times === 0) continue;
      const sum = this.#sums.get(key) ?? { seeds: 0, times: 0 };
      sum.seeds++;
      sum.times += times;
      this.#sums.set(key, sum);
    }
  }

  get rows(): CoverageRow[] {
    return COVERAGE.map(({ group, what, keys }) => ({
      group,
      what,
      declared: keys.length,
      reached: keys.flatMap((key) => {
        const sum = this.#sums.get(`${group}:${key}`);
        return sum === undefined ? [] : [{ key, ...sum }];
      }),
      never: keys.filter((key) => !this.#sums.has(`${group}:${key}`)),
    }));
  }

  /** Declared, and reached by no seed. */
  get never(): string[] {
    return COVERAGE_KEYS.filter((key) => !this.#sums.has(key));
  }

  /** Counted, and not in the declared list. */
  get undeclared(): string[] {
    const declared = new Set(COVERAGE_KEYS);
    return [...this.#sums.keys()].filter((key) => !declared.has(key)).sort();
  }

  toJSON(): unknown {
    return {
      sums: Object.fromEntries([...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1))),
      never: this.never,
    };
  }
}
