/**
 * No page is missing at the destination, none is older than its last write: at the switch, all of RAM there is what it is
 * here, byte for byte.
 */
import { PAGE_BYTES } from '../../../hardware/units.js';
import type { VirtualMachine } from '../../../hypervisor/vm.js';
import type { Hop } from '../hop.js';
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'no page is lost';
const MAX_NAMED = 16;

export function noPageLost(): WorldPromise {
  return {
    name: NAME,
    atArrival(world, hop, vm) {
      // a source that has given up meanwhile goes on: its memory is no measure any more
      if (hop.isRollingBack || hop.source.isCrashed || hop.sourceVm.state.kind !== 'paused') return;
      compare(world, hop, vm);
    },
    afterHop(world, hop) {
      if (hop.sourceEnd?.kind !== 'ended') return;
      const { verdict, dmaCoverage } = hop.sourceEnd.report;
      if (verdict !== null && verdict.pagesDiffering > 0) {
        tell(
          world,
          hop,
          verdict.differing,
          `${verdict.pagesDiffering} page(s) differ at the destination, says --verify`,
        );
      }
      // no loss yet: the vCPU's log may have had them all
      if (dmaCoverage !== null && dmaCoverage.pagesMissed > 0) {
        world.note(`migration ${hop.number}: the tracker missed ${dmaCoverage.pagesMissed} page(s)`);
      }
    },
  };
}

function compare(world: World, hop: Hop, vm: VirtualMachine): void {
  const { ramBytes, ramPages } = vm.layout;
  const here = Buffer.from(hop.sourceVm.memory.buffer, 0, ramBytes);
  const there = Buffer.from(vm.memory.buffer, 0, ramBytes);
  if (here.equals(there)) return;
  const pages: number[] = [];
  for (let page = 0; page < ramPages; page++) {
    const at = page * PAGE_BYTES;
    if (here.compare(there, at, at + PAGE_BYTES, at, at + PAGE_BYTES) !== 0) pages.push(page);
  }
  tell(world, hop, pages, `${pages.length} page(s) differ at the destination before the guest runs there`);
}

function tell(world: World, hop: Hop, pages: readonly number[], what: string): void {
  const engine = hop.source.engine;
  const writers = pages.slice(0, 3).map((page) => {
    const atNs = engine?.lastWriteNs(page) ?? 0;
    const who =
      atNs > 0 ? `DMA wrote it last at ${(atNs / 1e6).toFixed(3)} ms` : 'the vCPU wrote it, DMA never';
    return `0x${(page * PAGE_BYTES).toString(16)} (${who})`;
  });
  world.broken(NAME, `migration ${hop.number}: ${what}: ${writers.join(', ')}`, pages.slice(0, MAX_NAMED));
}
