/**
 * What a benchmark is: a named run that returns rows, each with how often it was measured and its spread. Ratios are
 * taken inside one run; nothing is asserted.
 */

export interface BenchRow {
  /** What was measured, with its unit: "wire -> guest, 1500 B, Gb/s". */
  readonly what: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
  /** The goal, as written in the project's table: ">= 10". */
  readonly reach?: string;
  /** Whether the median reaches it. */
  readonly reached?: boolean;
}

/** What a user may ask of benchmarks that last as long as they are told to. */
export interface BenchmarkOptions {
  /** Round trips in each mode. */
  readonly trips?: number;
  /** What runs the same work beside it. */
  readonly against?: 'qemu';
}

export interface Benchmark {
  readonly name: string;
  readonly what: string;
  run(options?: BenchmarkOptions): Promise<BenchRow[]>;
}

/** Median, minimum and maximum of at least one sample. */
export function rowOf(
  what: string,
  samples: readonly number[],
  reach?: { atLeast?: number; atMost?: number },
): BenchRow {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  const base = { what, median, min: sorted[0]!, max: sorted[sorted.length - 1]!, runs: sorted.length };
  if (reach?.atLeast !== undefined) {
    return { ...base, reach: `>= ${reach.atLeast}`, reached: median >= reach.atLeast };
  }
  if (reach?.atMost !== undefined)
    return { ...base, reach: `<= ${reach.atMost}`, reached: median <= reach.atMost };
  return base;
}
