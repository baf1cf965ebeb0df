/**
 * The process that looks for a planted fault: plants it, then runs seeds until one of them breaks a promise that the fault
 * is to break. Its parent (hunt.ts) sends it a HuntOrder.
 */
import { type HuntEnd, type HuntOrder, seedsOf } from './hunt.js';
import { plant } from './plant.js';
import { PLANTED_FAULTS, simulationOf } from './planted-faults.js';

async function hunt(order: HuntOrder): Promise<HuntEnd> {
  const { fault: name } = order;
  const fault = PLANTED_FAULTS.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`there is no planted fault '${name}'`);
  plant(fault);
  const { simulate } = await import('../../../src/simulation/world/simulate.js');
  const others: string[] = [];
  for (const seed of seedsOf(order)) {
    const { problems } = await simulate(simulationOf(fault, seed));
    const problem = problems.find(({ promise }) => fault.breaksPromises.includes(promise));
    if (problem !== undefined) {
      return { kind: 'found', seed, sentence: `${problem.promise}: ${problem.sentence}` };
    }
    const [other] = problems;
    if (other !== undefined) others.push(`seed ${seed}: ${other.promise}: ${other.sentence}`);
  }
  return { kind: 'not-found', others };
}

// a parent that is gone wants no answer
process.once('disconnect', () => process.exit());
process.once('message', (order: HuntOrder) => {
  const answer = (end: HuntEnd): void => void process.send!(end, () => process.disconnect());
  hunt(order).then(answer, (error: Error) =>
    answer({ kind: 'failed', message: error.stack ?? error.message }),
  );
});
