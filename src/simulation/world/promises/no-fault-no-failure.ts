/** Where nothing goes wrong, every migration is committed. */
import type { WorldPromise } from './promise.js';

const NAME = 'without a fault nothing fails';

export const noFaultNoFailure = (): WorldPromise => ({
  name: NAME,
  afterHop(world, { sourceEnd, number }) {
    if (world.plan.faults.length > 0 || sourceEnd?.kind !== 'ended') return;
    const { outcome, error } = sourceEnd.report;
    if (outcome !== 'completed') world.broken(NAME, `migration ${number} ${outcome}: ${error}`);
  },
});
