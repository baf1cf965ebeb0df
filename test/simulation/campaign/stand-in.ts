/**
 * In place of the simulator, for tests of the campaign: what becomes of a seed is told by its last digit. A plan fails
 * where it holds a link-cut and a cancel.
 */
import type { SimulationOptions, SimulationResult } from '../../../src/simulation/world/result.js';

export const STAND_IN = import.meta.url;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, faultPlan = [] } = options;
  const result: SimulationResult = {
    seed,
    outcome: 'passed',
    problems: [],
    logHash: seed.toString(16).padStart(16, '0'),
    events: 10,
    virtualMs: 2,
    plan: faultPlan,
    reached: { 'phase:done': 1, ...(seed % 2 === 0 ? { 'fault:link-cut': 3 } : {}) },
    notes: [],
    figures: {},
  };
  switch (seed % 10) {
    case 3:
      return {
        ...result,
        outcome: 'failed',
        problems: [{ promise: 'no page is lost', sentence: 'page 7 is', pages: [7] }],
      };
    case 4:
      return {
        ...result,
        outcome: 'stuck',
        problems: [{ promise: 'the run ends', sentence: 'nothing happens' }],
      };
    case 5:
      throw new Error('the simulator has a fault of its own');
    case 6:
      return process.exit(9);
    case 7:
      for (;;);
    default:
      return result;
  }
}
