/** What a VMM process weighs beyond its guest's RAM, and how long an image takes to load. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, sleep } from '../../src/cli/lab.js';
import { readImage } from '../../src/control/images.js';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import { loadImage } from '../../src/guest/load-image.js';
import { type Benchmark, rowOf } from '../../src/measure/benchmark.js';

const RAM_BYTES = 16 * 2 ** 20;
const LOADS = 5;

export const benchmark: Benchmark = {
  name: 'process-weight',
  what: 'udp-echo with 16 MiB: resident memory of its VMM process, and loading its image',
  async run() {
    const { component } = readImage(join(PACKAGE_ROOT, 'guest-images/udp-echo'));
    const coldMs: number[] = [];
    const cachedMs: number[] = [];
    for (let load = 0; load < LOADS; load++) {
      const cacheDir = mkdtempSync(join(tmpdir(), 'srvm-bench-cache-'));
      for (const samples of [coldMs, cachedMs]) {
        const began = performance.now();
        await loadImage(component, { ramBytes: RAM_BYTES, cacheDir });
        samples.push(performance.now() - began);
      }
      rmSync(cacheDir, { recursive: true });
    }
    return [
      rowOf(
        'image load, cold, s',
        coldMs.map((ms) => ms / 1e3),
        { atMost: 2 },
      ),
      rowOf(
        'image load, cached, s',
        cachedMs.map((ms) => ms / 1e3),
        { atMost: 0.3 },
      ),
      rowOf('VMM process beyond guest RAM, MB', await residentMegabytes(), { atMost: 150 }),
    ];
  },
};

/** The guest's own pages are counted too, so that this is an upper bound. */
async function residentMegabytes(): Promise<number[]> {
  const lab = Lab.create();
  try {
    const vmm = await lab.vmm('bench-a', ['run', 'guest-images/udp-echo', '--vf', `wire=${lab.port('p0')}`]);
    const samples: number[] = [];
    for (let sample = 0; sample < LOADS; sample++) {
      await sleep(1000);
      const info = await vmm.qmp.execute<{ 'rss-bytes': number }>('x-srvm-query-vm');
      samples.push(info['rss-bytes'] / 1e6);
    }
    return samples;
  } finally {
    await lab.close();
  }
}
