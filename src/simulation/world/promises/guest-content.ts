/**
 * The guest has nothing to complain of: each packet that the VF acknowledged is in its memory, statistics never ran back,
 * no interrupt was lost, and what it keeps for itself is as it left it. It says so itself, in its RAM.
 */
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'the guest has no complaints';

export function guestContent(): WorldPromise {
  const look = (world: World): void => {
    for (const host of world.hosts) {
      if (host.vm === null || host.isCrashed || host.vm.state.kind === 'destroyed') continue;
      for (const sentence of world.guest.complaints(host.vm.memory).slice(0, 5)) {
        world.broken(NAME, `on host ${host.name}: ${sentence}`);
      }
      if (host.vm.state.kind === 'trapped') {
        world.broken(NAME, `on host ${host.name}: the guest trapped: ${host.vm.state.report.message}`);
      }
    }
  };
  return {
    name: NAME,
    atPhase: (world, _hop, { phase }) => {
      if (phase === 'reservation') look(world);
    },
    afterSettling: look,
  };
}
