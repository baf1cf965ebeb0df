/**
 * When all is closed, nothing is left: no core, no VF, no timer, no end of a link, no memory that grew without bound meanwhile.
 */

import { VF_COUNT } from '../sim-host.js';
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'nothing is leaked';
/** The bus holds 64 KiB at most, in chunks of 16 bytes and more, and a message each. */
const MOST_PENDING = 16_384;

export const nothingLeaked = (): WorldPromise => ({
  name: NAME,
  afterEvent(world) {
    for (const { engine, name } of world.hosts) {
      if (engine !== null && engine.pendingChunks > MOST_PENDING) {
        world.broken(NAME, `host ${name}: ${engine.pendingChunks} DMA writes are pending`);
      }
    }
  },
  afterHop(world, hop) {
    for (const host of [hop.source, hop.destination]) {
      const alive = host.pluginCores.filter((core) => !core.hasEnded).length;
      if (alive > 0 && !host.isCrashed) {
        world.broken(
          NAME,
          `migration ${hop.number} is over, and ${alive} core(s) of the plugin's live on host ${host.name}`,
        );
      }
    }
  },
  atEnd: checkEnd,
});

function checkEnd(world: World): void {
  for (const host of world.hosts) {
    if (host.isCrashed) continue;
    const alive = host.time.cores.filter((core) => !core.isDead).map((core) => core.name);
    if (alive.length > 0)
      world.broken(NAME, `host ${host.name} was closed, and cores live: ${alive.join(', ')}`);
    const { pendingTimers } = host.time;
    if (pendingTimers > 0)
      world.broken(
        NAME,
        `host ${host.name} was closed, and ${pendingTimers} timer(s) of its main thread go on`,
      );
    const free = host.nic?.freeVfs ?? VF_COUNT;
    if (free !== VF_COUNT)
      world.broken(NAME, `host ${host.name} was closed, and ${VF_COUNT - free} VF(s) are taken`);
  }
  if (world.disk.openFiles > 0) world.broken(NAME, `${world.disk.openFiles} file(s) are open`);
  for (const hop of world.hops) {
    const { openEnds } = hop.link;
    if (openEnds > 0) world.broken(NAME, `migration ${hop.number}: ${openEnds} end(s) of its link are open`);
  }
}
