/**
 * What a campaign needs of the simulator: one function from a seed to a result. A worker loads it by its module's address,
 * so that a campaign can be tried with another one.
 */
import type { SimulationOptions, SimulationResult } from '../world/result.js';

export type Simulate = (options: SimulationOptions) => Promise<SimulationResult>;

/** Everything but the seed, in a form that can be posted to a worker. */
export interface SeedlessOptions extends Omit<SimulationOptions, 'seed' | 'plugin' | 'keepLog'> {
  /** Folder or package. */
  readonly plugin?: string;
}

/** The module that exports `simulate`. */
export const SIMULATOR = new URL('../world/simulate.js', import.meta.url).href;

/** What a campaign keeps of a seed: the result without its log, which may be long. */
export interface SeedReport extends Omit<SimulationResult, 'outcome' | 'log'> {
  /** `lost`: the worker that ran it died or hung, or the simulator itself threw. */
  readonly outcome: SimulationResult['outcome'] | 'lost';
  /** Real time that it took. */
  readonly wallMs: number;
}

/** A seed of which nothing is known but that it did not come back. */
export function lostSeed(seed: number, sentence: string, wallMs: number): SeedReport {
  return {
    seed,
    outcome: 'lost',
    problems: [{ promise: 'the run ends', sentence }],
    logHash: '',
    events: 0,
    virtualMs: 0,
    plan: [],
    reached: {},
    notes: [],
    figures: {},
    wallMs,
  };
}
