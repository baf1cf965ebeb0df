/**
 * Finds the image that a source offers: by the key of its builds in the cache, else among the images on this host.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageCache } from '../guest/image-cache.js';
import { imageKey } from '../guest/image-key.js';
import { loadImage } from '../guest/load-image.js';
import { type GuestImage, guestKind } from '../hypervisor/guest-kind.js';
import { layoutFor } from '../machine/layout.js';
import { createMemory } from '../machine/memory.js';
import { readLinuxImage } from '../rv64/machine/linux-image-files.js';
import { listImages } from './images.js';
import { imageCacheDir, PACKAGE_ROOT } from './package-root.js';

export interface FoundImage {
  /** Memory for its guest, of the offered RAM size. */
  createMemory(): WebAssembly.Memory;
  /** Quick from the cache, a second or two when it must be built. */
  load(): Promise<GuestImage>;
}

/** @returns null when no image here has this key. */
export async function findImage(name: string, key: string, ramBytes: number): Promise<FoundImage | null> {
  const cacheDir = imageCacheDir();
  const component = (load: FoundImage['load']): FoundImage => ({
    createMemory: () => createMemory(layoutFor(ramBytes)),
    load,
  });
  const cached = await new ImageCache(cacheDir).read(key);
  if (cached !== null) return component(async () => ({ key, name, ...cached }));
  for (const image of listImages(join(PACKAGE_ROOT, 'guest-images'))) {
    if (image.kind === 'rv64-linux') {
      const found = existsSync(image.component)
        ? readLinuxImage(image.component, image.name, ramBytes)
        : null;
      if (found?.key === key) return { createMemory: guestKind(found).createMemory, load: async () => found };
      continue;
    }
    const bytes = await readFile(image.component).catch(() => null);
    if (bytes !== null && imageKey(bytes, ramBytes) === key) {
      return component(() => loadImage(image.component, { ramBytes, cacheDir }));
    }
  }
  return null;
}
