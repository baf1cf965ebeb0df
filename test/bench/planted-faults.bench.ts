/**
 * How many seeds it takes to find each planted fault (test/simulation/planted), from several first seeds on: the test
 * begins with seed 1 only.
 */
import { availableParallelism } from 'node:os';
import PQueue from 'p-queue';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { hunt } from '../simulation/planted/hunt.js';
import { PLANTED_FAULTS } from '../simulation/planted/planted-faults.js';

const RUNS = 3;
const SEEDS = 1000;

/** Seeds until one finds it; one more than there are if none does. */
async function seedsUntilFound(fault: string, firstSeed: number): Promise<number> {
  const end = await hunt({ fault, firstSeed, seeds: SEEDS, tryFirst: null });
  if (end.kind === 'failed') throw new Error(end.message);
  return end.kind === 'found' ? end.seed - firstSeed + 1 : SEEDS + 1;
}

export const benchmark: Benchmark = {
  name: 'planted-faults',
  what: `seeds until a planted fault is found, of ${SEEDS}`,
  async run(): Promise<BenchRow[]> {
    const processes = new PQueue({ concurrency: availableParallelism() });
    return await Promise.all(
      PLANTED_FAULTS.map(async ({ name }) => {
        const found = Array.from({ length: RUNS }, (_, run) =>
          processes.add(() => seedsUntilFound(name, 1 + run * SEEDS)),
        );
        return rowOf(`${name}, seeds`, await Promise.all(found), { atMost: SEEDS });
      }),
    );
  },
};
