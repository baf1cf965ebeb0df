/**
 * An interrupt that was on its way when the guest was stopped is on its way at the destination before it runs: its line is
 * pending, or its cause is in the card. One that came twice does no harm, one that is gone can leave a driver asleep.
 *
 *   source, quiet:        pending lines  and  causes, pending vectors --by the MSI-X table--> lines
 *   destination, ready:   the same, and none may be missing
 */
import type { VirtualMachine } from '../../../hypervisor/vm.js';
import { CTRL } from '../../../machine/layout.js';
import { controlWords } from '../../../machine/memory.js';
import { vf82599 } from '../../../plugin/api.js';
import type { Hop } from '../hop.js';
import type { WorldPromise } from './promise.js';

const { REG, VECTORS } = vf82599;
const NAME = 'every interrupt arrives';
const MSIX_ENTRY_BYTES = 16;
const MSIX_DATA = 8;
const MSIX_PENDING = 0x2000;

export function everyInterrupt(): WorldPromise {
  let quiet: Hop | null = null;
  let due = 0;
  return {
    name: NAME,
    afterEvent({ hop }) {
      if (hop === null || quiet === hop || !hop.isQuiesced) return;
      quiet = hop;
      due = linesOnTheirWay(hop.sourceVm);
    },
    atDestinationPhase(world, hop, phase) {
      const { vm } = hop.destination;
      if (phase !== 'ready' || quiet !== hop || vm === null) return;
      const missing = due & ~linesOnTheirWay(vm);
      if (missing === 0) return;
      const lines = [...Array(32).keys()].filter((line) => ((missing >>> line) & 1) !== 0);
      world.broken(NAME, `migration ${hop.number}: of interrupt line(s) ${lines.join(', ')} nothing is left`);
    },
  };
}

/** One bit each. Without a side effect: causes are read by way of VTEICS. */
function linesOnTheirWay(vm: VirtualMachine): number {
  let lines = controlWords(vm.memory, vm.layout)[CTRL.irqPending]!;
  for (const { view } of vm.vfs) {
    const vectors = view.bar0.read32(REG.VTEICS) | view.bar3.read32(MSIX_PENDING);
    for (let vector = 0; vector < VECTORS; vector++) {
      if (((vectors >>> vector) & 1) === 0) continue;
      lines |= 1 << view.bar3.read32(vector * MSIX_ENTRY_BYTES + MSIX_DATA);
    }
  }
  return lines;
}
