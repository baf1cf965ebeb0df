/**
 * A guest image, ready to run: what loadImage returns, what the cache holds, what a vCPU worker is handed. Plain data,
 * so that it can be cloned to any thread.
 */
import type { BootData } from './rewrite/share-memory.js';

export type { BootData } from './rewrite/share-memory.js';

/** A built image. Builds are made for one RAM size: addresses of the VMM area are constants in them. */
export interface LoadedImage {
  /**
   * Hash of everything the builds depend on: component, rewriter, tools, RAM size. Two hosts whose keys are equal run
   * the same builds, which a guest's saved frames ask for.
   */
  readonly key: string;
  /** For people: the file's name without its ending. */
  readonly name: string;
  readonly ramBytes: number;
  /** The component's JavaScript half: an ES module with `instantiate(getCoreModule, imports, instantiateCore)`. */
  readonly jcoSource: string;
  /** What `jcoSource` calls the core module that the two builds stand for. */
  readonly mainModule: string;
  readonly plainWasm: Uint8Array;
  readonly logWasm: Uint8Array;
  /** Small helper modules of the component, by name. */
  readonly shimModules: Readonly<Record<string, Uint8Array>>;
  /** Written into guest RAM once, at first boot. */
  readonly dataSegments: readonly BootData[];
  /** memory.size at boot, in 64 KiB pages. */
  readonly initialPages: number;
  /** What memory.grow may reach, in 64 KiB pages. */
  readonly maxPages: number;
  /** Value type of each saved mutable global, in order. */
  readonly globalTypes: readonly number[];
}

/** An image as built, before it has a key and a name. */
export type ImageBuild = Omit<LoadedImage, 'key' | 'name'>;
