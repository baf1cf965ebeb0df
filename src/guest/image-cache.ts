/**
 * Built images on disk, one file per key. Entries are written to the side and renamed, so that a reader sees a whole
 * one or none; a damaged one counts as none. A cache that cannot be written costs time, not function.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeEntry } from './image-entry.js';
import type { ImageBuild } from './loaded-image.js';

export class ImageCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Null when there is no such entry, or none that is whole. */
  async read(key: string): Promise<ImageBuild | null> {
    try {
      return decodeEntry(await readFile(this.#pathOf(key)));
    } catch {
      return null;
    }
  }

  /** False when the entry could not be kept. */
  async write(key: string, entry: Uint8Array): Promise<boolean> {
    const aside = join(this.#folder, `.${key}.${randomBytes(6).toString('hex')}`);
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFile(aside, entry);
      await rename(aside, this.#pathOf(key));
      return true;
    } catch {
      await rm(aside, { force: true }).catch(() => {});
      return false;
    }
  }

  #pathOf(key: string): string {
    return join(this.#folder, `${key}.image`);
  }
}
