/**
 * The shortest fault schedule that still breaks the same promise: first fewer faults (delta debugging, which finds faults
 * none of which can be left out; then fewer of others, if they do), then simpler ones, and again, until nothing changes:
 * of two faults one may be superfluous once the other happens at another time.
 *
 *   plan of n faults --halves, quarters, ... left out--> few faults --each number towards 0, 1, round--> plain faults
 *         ^------------------------------------- something was made plainer -------------------------------'
 *
 * A step is kept when the run still breaks the promise that the first one broke; anything else would follow another fault.
 */
import type { PlannedFault } from '../world/fault-plan.js';

export interface ShrinkOptions {
  readonly plan: readonly PlannedFault[];
  /** Whether a run under this plan still breaks the promise in question. */
  readonly fails: (plan: readonly PlannedFault[]) => Promise<boolean>;
  /** Runs at most; what was found by then counts. */
  readonly maxRuns: number;
  readonly onStep?: (plan: readonly PlannedFault[], runs: number) => void;
}

export interface Shrunk {
  readonly plan: readonly PlannedFault[];
  readonly runs: number;
  /** False: the limit of runs was reached first. */
  readonly isMinimal: boolean;
}

export async function shrink(options: ShrinkOptions): Promise<Shrunk> {
  const search = new Search(options);
  await search.fewer();
  await search.fewest();
  while (await search.simpler()) await search.fewer();
  return { plan: search.plan, runs: search.runs, isMinimal: !search.isExhausted };
}

class Search {
  plan: readonly PlannedFault[];
  runs = 0;
  readonly #options: ShrinkOptions;

  constructor(options: ShrinkOptions) {
    this.#options = options;
    this.plan = options.plan;
  }

  get isExhausted(): boolean {
    return this.runs >= this.#options.maxRuns;
  }

  /** Zeller's ddmin: leaves out one part of n, and with finer parts when none can be left out. */
  async fewer(): Promise<void> {
    if (this.plan.length > 0 && (await this.#keep([]))) return;
    let parts = 2;
    while (this.plan.length > 1 && !this.isExhausted) {
      if (await this.#leaveOutOne(parts)) parts = Math.max(2, parts - 1);
      else if (parts < this.plan.length) parts = Math.min(this.plan.length, parts * 2);
      else return;
    }
  }

  /** Any faults of the whole plan, if they are fewer than those that are left. */
  async fewest(): Promise<void> {
    for (let size = 1; size < this.plan.length; size++) {
      for (const some of choiceOf(this.#options.plan, size)) {
        if (this.isExhausted || (await this.#keep(some))) return;
      }
    }
  }

  async #leaveOutOne(parts: number): Promise<boolean> {
    const { length } = this.plan;
    for (let part = 0; part < parts && !this.isExhausted; part++) {
      const from = Math.floor((part * length) / parts);
      const to = Math.floor(((part + 1) * length) / parts);
      if (await this.#keep([...this.plan.slice(0, from), ...this.plan.slice(to)])) return true;
    }
    return false;
  }

  /** Every number of every fault once. @returns whether one was made simpler. */
  async simpler(): Promise<boolean> {
    let changed = false;
    for (let index = 0; index < this.plan.length; index++) {
      for (const field of Object.keys(this.plan[index]!)) {
        if (await this.#simplify(index, field)) changed = true;
      }
    }
    return changed;
  }

  async #simplify(index: number, field: string): Promise<boolean> {
    const fault = this.plan[index] as unknown as Record<string, unknown>;
    const value = fault[field];
    if (typeof value !== 'number') return false;
    for (const plainer of plainerThan(value)) {
      const changed = { ...fault, [field]: plainer } as unknown as PlannedFault;
      if (await this.#keep(this.plan.with(index, changed))) return true;
    }
    return false;
  }

  async #keep(plan: readonly PlannedFault[]): Promise<boolean> {
    if (this.isExhausted) return false;
    this.runs++;
    if (!(await this.#options.fails(plan))) return false;
    this.plan = plan;
    this.#options.onStep?.(plan, this.runs);
    return true;
  }
}

/** Each choice of so many faults, in the plan's order. */
function* choiceOf(plan: readonly PlannedFault[], size: number): Generator<PlannedFault[]> {
  if (size === 0) yield [];
  else
    for (const [i, fault] of plan.entries())
      for (const others of choiceOf(plan.slice(i + 1), size - 1)) yield [fault, ...others];
}

/** Candidates that are easier to read than `value`, plainest first; each is smaller or rounder, so that this ends. */
export function plainerThan(value: number): number[] {
  if (value === 0 || !Number.isFinite(value)) return [];
  const rounded = Number(value.toPrecision(1));
  const half = Number.isInteger(value) ? Math.trunc(value / 2) : value / 2;
  const candidates = value === 1 ? [0] : Number.isInteger(value) ? [0, 1, rounded, half] : [0, 1, rounded];
  return [...new Set(candidates)].filter((candidate) => weight(candidate) < weight(value));
}

/** Digits first, then size. */
const weight = (value: number): number =>
  String(value).replace(/[.e-]|0+$/g, '').length * 1e20 + Math.abs(value);
