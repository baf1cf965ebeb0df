/** The images that a simulation runs, in memories that are small enough for thousands of runs; loaded once a process. */

import { join } from 'node:path';
import { readImage } from '../../control/images.js';
import { imageCacheDir, PACKAGE_ROOT } from '../../control/package-root.js';
import { loadImage } from '../../guest/load-image.js';
import type { LoadedImage } from '../../guest/loaded-image.js';

const MIB = 1024 * 1024;
const ADDRESS = 'ip=10.0.0.2';

interface SimulatedImage {
  readonly ramBytes: number;
  readonly commandLine: string;
}

export const SIMULATED_IMAGES = {
  'udp-echo': { ramBytes: 16 * MIB, commandLine: ADDRESS },
  'c-echo': { ramBytes: 16 * MIB, commandLine: ADDRESS },
  'kv-store': { ramBytes: 16 * MIB, commandLine: `${ADDRESS} store=4M fill=1M scrub=1000` },
  'packet-sink': { ramBytes: 16 * MIB, commandLine: ADDRESS },
  'packet-source': { ramBytes: 16 * MIB, commandLine: `${ADDRESS} peer=10.0.0.1 rate=20000` },
  'page-dirtier': { ramBytes: 16 * MIB, commandLine: `${ADDRESS} rate=20000 ws=4M` },
  idle: { ramBytes: 16 * MIB, commandLine: ADDRESS },
} as const satisfies Record<string, SimulatedImage>;
export type SimulatedImageName = keyof typeof SIMULATED_IMAGES;

const loaded = new Map<SimulatedImageName, Promise<LoadedImage>>();

export const isSimulatedImage = (name: string): name is SimulatedImageName => name in SIMULATED_IMAGES;

/** Real work outside of virtual time: to be done before a run, or announced to its scheduler. */
export function loadSimulatedImage(name: SimulatedImageName): Promise<LoadedImage> {
  let image = loaded.get(name);
  if (image === undefined) {
    const { component } = readImage(join(PACKAGE_ROOT, 'guest-images', name));
    image = loadImage(component, { ramBytes: SIMULATED_IMAGES[name].ramBytes, cacheDir: imageCacheDir() });
    loaded.set(name, image);
  }
  return image;
}
