/**
 * The process that looks for a planted fault: plants it, then runs seeds until one of them breaks a promise.
 * Its parent (hunt.ts) sends it a HuntOrder.
 */
import type { HuntEnd, HuntOrder } from './hunt.js';
import { plant } from './plant.js';
import { PLANTED_FAULTS } from './planted-faults.js';

async function hunt({ fault: name, firstSeed, seeds }: HuntOrder): Promise<HuntEnd> {
  const fault = PLANTED_FAULTS.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`there is no planted fault '${name}'`);
  plant(fault);
  const { simulate } = await import('../../../src/simulation/world/simulate.js');
  const { faults, mode } = fault;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const result = await simulate({ seed, faults, ...(mode && { mode }) });
    if (result.outcome === 'passed') continue;
    const sentences = result.problems.map(({ promise, sentence }) => `${promise}: ${sentence}`);
    return { kind: 'found', seed, sentences };
  }
  return { kind: 'not-found' };
}

process.once('message', (order: HuntOrder) => {
  hunt(order).then(
    (end) => process.send!(end, () => process.disconnect()),
    (error: Error) =>
      process.send!({ kind: 'failed', message: error.stack } satisfies HuntEnd, () => process.disconnect()),
  );
});
