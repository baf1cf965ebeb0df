/**
 * The simulator finds what it is there to find: each planted fault within a thousand seeds, and on the very seed that
 * found it the code as it is keeps every promise. The seed that found it the last time is tried first; SRVM_SOAK=1: all in
 * their order.
 */
import { availableParallelism } from 'node:os';
import PQueue from 'p-queue';
import { describe, expect, it } from 'vitest';
import { simulate } from '../../../src/simulation/world/simulate.js';
import { type HuntEnd, hunt } from './hunt.js';
import { plantedTexts } from './plant.js';
import { PLANTED_FAULTS, type PlantedFault, simulationOf } from './planted-faults.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const SEEDS = 1000;
/** Of a hunt that finds nothing: long enough for all its seeds, on any machine. */
const HUNG_MS = 1_800_000;

const processes = new PQueue({ concurrency: Math.min(2, availableParallelism()) });
const hunts = new Map<PlantedFault, Promise<HuntEnd>>();

/** All are begun with the first: two at a time, whichever test waits. */
function huntFor(fault: PlantedFault): Promise<HuntEnd> {
  if (hunts.size === 0) {
    for (const each of PLANTED_FAULTS) {
      const order = {
        fault: each.name,
        firstSeed: 1,
        seeds: SEEDS,
        tryFirst: SOAK ? null : (each.foundBy ?? null),
      };
      hunts.set(
        each,
        processes.add(() => hunt(order)),
      );
    }
  }
  return hunts.get(fault)!;
}

describe('a planted fault', () => {
  it.each(PLANTED_FAULTS)('still fits the code: $name', (fault) => {
    expect(plantedTexts(fault).size).toBeGreaterThan(0);
  });

  it.each(PLANTED_FAULTS)('is found: $name', { timeout: HUNG_MS }, async (fault) => {
    const end = await huntFor(fault);
    if (end.kind === 'failed') throw new Error(end.message);
    if (end.kind === 'not-found') throw new Error([`no seed of ${SEEDS} finds it`, ...end.others].join('\n'));
    const isStale = fault.foundBy !== undefined && end.seed !== fault.foundBy;
    const change = isStale ? ` (not by ${fault.foundBy}: to be put in the table)` : '';
    console.log(`${fault.name}: found by seed ${end.seed} of ${SEEDS}${change}: ${end.sentence}`);
    const unplanted = await simulate(simulationOf(fault, end.seed));
    expect(unplanted.problems).toEqual([]);
    expect(unplanted.outcome).toBe('passed');
  });
});
