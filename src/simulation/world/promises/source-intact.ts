/**
 * Before commitment a failure leaves no trace: the guest runs on at the source, its card is its own again, nobody tracks,
 * logs or throttles it.
 */
import { BAR_WORD, BAR0_PAGES, MODE } from '../../../hypervisor/bar-map.js';
import { CTRL, VCPU_BUILD } from '../../../machine/layout.js';
import { controlWords } from '../../../machine/memory.js';
import { cameBack, type Hop } from '../hop.js';
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'the source is intact before commitment';

const isBack = ({ sourceEnd, source }: Hop): boolean =>
  sourceEnd?.kind === 'ended' && !source.isCrashed && cameBack(sourceEnd.report);

export function sourceIntact(): WorldPromise {
  return {
    name: NAME,
    afterHop(world, hop) {
      if (!isBack(hop)) return;
      const { kind } = hop.sourceVm.state;
      if (kind !== 'running') world.broken(NAME, `migration ${hop.number} failed, and the VM is ${kind}`);
      if (hop.source.pluginCores.some((core) => !core.hasEnded)) {
        world.broken(NAME, `migration ${hop.number} failed, and the tracker's core still runs`);
      }
    },
    afterSettling(world, hop) {
      if (isBack(hop)) checkTraces(world, hop);
    },
  };
}

function checkTraces(world: World, hop: Hop): void {
  const { sourceVm: vm, number } = hop;
  const control = controlWords(vm.memory, vm.layout);
  if (control[CTRL.activeBuild] !== VCPU_BUILD.plain) {
    world.broken(NAME, `migration ${number} failed, and the guest still runs in its logging build`);
  }
  if (control[CTRL.throttlePercent] !== 0) {
    world.broken(NAME, `migration ${number} failed, and the guest is still throttled`);
  }
  const words = vm.vfs[0]!.view.pages.words;
  for (let page = 0; page < BAR0_PAGES; page++) {
    const mode = words[BAR_WORD.modes + page];
    if (mode === MODE.direct) continue;
    world.broken(
      NAME,
      `migration ${number} failed, and page ${page} of BAR0 is still in mode ${mode}, not direct`,
    );
  }
}
