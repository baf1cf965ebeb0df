/**
 * Finds the image that a source offers: by the key of its builds in the cache, else among the images on this host.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageCache } from '../guest/image-cache.js';
import { imageKey } from '../guest/image-key.js';
import { loadImage } from '../guest/load-image.js';
import type { LoadedImage } from '../guest/loaded-image.js';
import { listImages } from './images.js';
import { imageCacheDir, PACKAGE_ROOT } from './package-root.js';

/** Loads it when called: quick from the cache, a second or two when it must be built. */
export type ImageLoad = () => Promise<LoadedImage>;

/** @returns null when no image here has this key. */
export async function findImage(name: string, key: string, ramBytes: number): Promise<ImageLoad | null> {
  const cacheDir = imageCacheDir();
  const cached = await new ImageCache(cacheDir).read(key);
  if (cached !== null) return async () => ({ key, name, ...cached });
  for (const image of listImages(join(PACKAGE_ROOT, 'guest-images'))) {
    const component = await readFile(image.component).catch(() => null);
    if (component !== null && imageKey(component, ramBytes) === key) {
      return () => loadImage(image.component, { ramBytes, cacheDir });
    }
  }
  return null;
}
