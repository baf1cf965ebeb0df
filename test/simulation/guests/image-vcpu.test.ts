/** Built images in slices under virtual time, alone on a production card and engine. */
import { describe, expect, it } from 'vitest';
import { createImageVcpu } from '../../../src/simulation/guests/image-vcpu.js';
import { loadSimulatedImage, SIMULATED_IMAGES } from '../../../src/simulation/guests/simulated-images.js';
import { LoneGuest } from './lone-guest.js';

async function bootedImage(name: 'udp-echo' | 'c-echo' | 'page-dirtier', seed: number): Promise<LoneGuest> {
  const image = await loadSimulatedImage(name);
  const { commandLine } = SIMULATED_IMAGES[name];
  const guest = new LoneGuest({ seed, image, commandLine, startVcpu: createImageVcpu });
  await guest.boot();
  return guest;
}

describe('an image in slices', () => {
  it.each(['udp-echo', 'c-echo'] as const)('%s brings its interface up', async (name) => {
    const guest = await bootedImage(name, 1);
    await guest.pass(60);
    expect(guest.vm!.state.kind).toBe('running');
    expect(guest.console.join('\n')).toMatch(/is up/);
    expect(guest.peer.stats.txFrames).toBeGreaterThan(0);
  });

  it('does the same again from the same seed', async () => {
    const hashes: string[] = [];
    for (let run = 0; run < 2; run++) {
      const guest = await bootedImage('c-echo', 3);
      await guest.pass(20);
      hashes.push(guest.log.hash);
    }
    expect(hashes[0]).toBe(hashes[1]);
  });

  it('can be paused, logged and resumed in the middle of its work', async () => {
    const guest = await bootedImage('page-dirtier', 2);
    await guest.pass(50);
    await guest.until(guest.vm!.setDirtyLogging(true));
    await guest.until(guest.vm!.pause());
    const log = guest.vm!.openDirtyLog();
    const pages = new Uint8Array(guest.vm!.layout.ramPages);
    log.harvest(pages);
    await guest.pass(5);
    expect(log.harvest(pages)).toBe(0);
    guest.vm!.resume();
    await guest.pass(20);
    await guest.until(guest.vm!.pause());
    expect(log.harvest(pages)).toBeGreaterThan(10);
  });
});
