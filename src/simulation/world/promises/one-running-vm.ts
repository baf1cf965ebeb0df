/**
 * One VM runs at most: never both, the destination's not before COMMIT was sent, the source's never again from then on.
 */

import type { VirtualMachine } from '../../../hypervisor/vm.js';
import { CTRL, VCPU_STATE } from '../../../machine/layout.js';
import { controlWords } from '../../../machine/memory.js';
import type { Hop } from '../hop.js';
import type { SimHost } from '../sim-host.js';
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'one VM runs at most';
const COMMITTED = ['commitment', 'activation', 'done'];

const isCommitted = ({ phase }: Hop): boolean =>
  COMMITTED.includes(phase.phase) || (phase.phase === 'failed' && COMMITTED.includes(phase.during));

export function oneRunningVm(): WorldPromise {
  const controls = new WeakMap<VirtualMachine, Int32Array>();
  /** Migrations whose guest ran at the destination. */
  const arrived = new WeakSet<Hop>();
  const runs = (host: SimHost): boolean => {
    const { vm } = host;
    if (vm === null || host.isCrashed || host.vcpu === null || host.vcpu.core.isDead) return false;
    if (vm.state.kind === 'destroyed') return false;
    let control = controls.get(vm);
    if (control === undefined) {
      control = controlWords(vm.memory, vm.layout);
      controls.set(vm, control);
    }
    return control[CTRL.state] === VCPU_STATE.running;
  };
  return {
    name: NAME,
    afterEvent(world: World) {
      const { hop } = world;
      if (hop === null) return;
      const here = runs(hop.source);
      const there = runs(hop.destination);
      if (there && !arrived.has(hop)) {
        arrived.add(hop);
        if (!isCommitted(hop) && !hop.source.isCrashed) {
          const { phase } = hop.phase;
          world.broken(
            NAME,
            `migration ${hop.number}: the guest runs at the destination, the source is in ${phase}`,
          );
        }
      }
      if (!here || world.problems.length > 0) return;
      if (there) world.broken(NAME, `migration ${hop.number}: the guest runs at both ends`);
      else if (arrived.has(hop)) {
        world.broken(
          NAME,
          `migration ${hop.number}: the guest ran at the destination, and runs at the source again`,
        );
      } else if (isCommitted(hop)) {
        world.broken(
          NAME,
          `migration ${hop.number}: COMMIT was sent, and the guest runs at the source again`,
        );
      }
    },
  };
}
