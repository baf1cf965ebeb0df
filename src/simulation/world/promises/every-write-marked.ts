/**
 * What DMA had written before a harvest began is marked in it, or was marked in one that was taken after the write: else the
 * page is not copied again, and only luck brings it over. A mark of the vCPU's log is as good as the tracker's.
 *
 *   write t ... harvest begins S ... marks taken H        broken: t <= S, the page not among these marks, last marked before t
 */
import { claimsOf } from '../../../plugin/definition.js';
import type { Hop } from '../hop.js';
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'every DMA write is marked';

interface Watch {
  readonly hop: Hop;
  /** When each page was last among the marks that were taken. */
  readonly markedNs: Float64Array;
}

export function everyWriteMarked(): WorldPromise {
  let watch: Watch | null = null;
  return {
    name: NAME,
    atHarvest(world, hop, dma, cpu) {
      if (watch?.hop !== hop) watch = { hop, markedNs: new Float64Array(dma.length) };
      // a method that marks at the pause only is asked there
      const isDue = hop.isQuiesced || !claimsOf(world.plugin.definition).marksAtPauseOnly;
      if (isDue) check(world, watch, dma, cpu);
    },
  };
}

function check(world: World, { hop, markedNs }: Watch, dma: Uint8Array, cpu: Uint8Array): void {
  const { engine } = hop.source;
  if (engine === null) return;
  const nowNs = world.scheduler.nowNs();
  const missed: number[] = [];
  for (let page = 0; page < dma.length; page++) {
    if (dma[page] !== 0 || cpu[page] !== 0) {
      markedNs[page] = nowNs;
      continue;
    }
    const writtenNs = engine.lastWriteNs(page);
    if (writtenNs <= hop.trackingSinceNs || writtenNs > hop.harvestSinceNs) continue;
    if (markedNs[page]! < writtenNs) missed.push(page);
  }
  if (missed.length === 0) return;
  const first = missed[0]!;
  const at = `0x${(first * 4096).toString(16)}, written at ${(engine.lastWriteNs(first) / 1e6).toFixed(3)} ms`;
  world.broken(
    NAME,
    `migration ${hop.number}: ${missed.length} page(s) that DMA wrote are not among the marks: the first at ${at}`,
    missed.slice(0, 16),
  );
}
