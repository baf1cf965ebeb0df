/**
 * Image file -> LoadedImage: from the cache when these builds exist, else from the build process.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { MAX_COMPONENT_RAM_BYTES, MIN_RAM_BYTES, WASM_PAGE_BYTES } from '../machine/layout.js';
import { buildInOwnProcess } from './build-process.js';
import { GuestImageError } from './guest-image-error.js';
import { ImageCache } from './image-cache.js';
import { decodeEntry } from './image-entry.js';
import { imageKey } from './image-key.js';
import type { ImageBuild, LoadedImage } from './loaded-image.js';

/** A component's code is at most MAX_CORE_BYTES; the rest of the file is names and debug information. */
const MAX_COMPONENT_BYTES = 16 * 1024 * 1024;

export interface LoadImageOptions {
  /** Guest RAM: a multiple of 64 KiB, 16 MiB to 1 GiB. The builds depend on it. */
  readonly ramBytes: number;
  /** Where built images are kept; created when missing. */
  readonly cacheDir: string;
}

/** Loads a component of the guest world. Throws GuestImageError, whose message says what is wrong with the image. */
export async function loadImage(path: string, options: LoadImageOptions): Promise<LoadedImage> {
  checkRamBytes(options.ramBytes);
  const component = await readComponent(path);
  const name = basename(path).replace(/(\.component)?\.wasm$/, '');
  return loadComponent(component, name, options);
}

/** The same, for a component that is in memory already. */
export async function loadComponent(
  component: Uint8Array,
  name: string,
  { ramBytes, cacheDir }: LoadImageOptions,
): Promise<LoadedImage> {
  checkRamBytes(ramBytes);
  checkComponent(component, name);
  const key = imageKey(component, ramBytes);
  const cache = new ImageCache(cacheDir);
  const build = (await cache.read(key)) ?? (await buildAndKeep(cache, key, component, ramBytes));
  return { key, name, ...build };
}

async function buildAndKeep(
  cache: ImageCache,
  key: string,
  component: Uint8Array,
  ramBytes: number,
): Promise<ImageBuild> {
  const entry = await buildInOwnProcess({ component, ramBytes });
  const build = decodeEntry(entry);
  if (build === null) throw new GuestImageError('build-failed', 'the build process returned a damaged image');
  await cache.write(key, entry);
  return build;
}

async function readComponent(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new GuestImageError('unreadable', `the image ${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function checkRamBytes(ramBytes: number): void {
  const fits =
    ramBytes >= MIN_RAM_BYTES && ramBytes <= MAX_COMPONENT_RAM_BYTES && ramBytes % WASM_PAGE_BYTES === 0;
  if (!fits) {
    throw new RangeError(
      `guest memory of ${ramBytes} bytes: it must be 16 MiB to 1 GiB, a multiple of 64 KiB`,
    );
  }
}

function checkComponent(bytes: Uint8Array, name: string): void {
  const header = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  if (header === '0061736d01000000') {
    throw new GuestImageError(
      'not-a-component',
      `${name} is a core WebAssembly module, not a component: wrap it for the guest world first`,
    );
  }
  if (header !== '0061736d0d000100') {
    throw new GuestImageError('not-a-component', `${name} is not a WebAssembly component`);
  }
  if (bytes.length > MAX_COMPONENT_BYTES) {
    throw new GuestImageError(
      'too-large',
      `${name} has ${bytes.length} bytes; at most ${MAX_COMPONENT_BYTES} are read`,
    );
  }
}
