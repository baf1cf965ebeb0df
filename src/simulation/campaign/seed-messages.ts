/**
 * What a campaign and its workers say to each other:
 *
 *   campaign                     worker
 *   | <--- READY ----------------| its modules are loaded
 *   | ---- SeedJob ------------->| runs it
 *   | <--- SeedReport -----------|
 */
import type { SeedlessOptions } from './simulator.js';

export const READY = 'ready';

export interface SeedWorkerData {
  /** Address of the module that exports `simulate`. */
  readonly simulator: string;
  readonly simulation: SeedlessOptions;
}

/** One run: the seed, and what it has in place of the campaign's options. */
export interface SeedJob extends Partial<SeedlessOptions> {
  readonly seed: number;
}
