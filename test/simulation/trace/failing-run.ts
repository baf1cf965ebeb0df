/** The process that makes the trace of a run that fails: plants a fault, runs seeds until one finds it, writes its trace to stdout. */
import { plant } from '../planted/plant.js';
import { PLANTED_FAULTS, simulationOf } from '../planted/planted-faults.js';

const SEEDS = 40;

const fault = PLANTED_FAULTS.find(({ name }) => name === process.argv[2]);
if (fault === undefined) throw new Error(`there is no planted fault '${process.argv[2]}'`);
plant(fault);
const { simulate } = await import('../../../src/simulation/world/simulate.js');
const { writeTrace } = await import('../../../src/simulation/trace/trace.js');

for (let seed = 1; seed <= SEEDS; seed++) {
  const { outcome, log } = await simulate({ ...simulationOf(fault, seed), keepLog: 'all' });
  if (outcome === 'passed') continue;
  process.stdout.write(writeTrace(log!.all(), { seed, outcome }));
  break;
}
