/**
 * The plugins this process can use: those that ship with srvm, and those the user names by folder or package.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { claimsOf, type FullClaims } from '../plugin/definition.js';
import { type LoadedPlugin, loadPlugin } from '../plugin/loader.js';
import { PACKAGE_ROOT, resolveShipped } from './package-root.js';

export interface PluginEntry {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly source: string;
  readonly claims: FullClaims;
  readonly options: Readonly<
    Record<string, { readonly default: string; readonly values?: readonly string[] }>
  >;
}

/** A plugin that cannot be loaded does not hide the others. */
export interface BrokenPlugin {
  readonly source: string;
  readonly error: string;
}

export class PluginCatalog {
  readonly #sources: readonly string[];

  /** @param extra folders or package names beside those that ship. */
  constructor(extra: readonly string[] = []) {
    const shipped = join(PACKAGE_ROOT, 'plugins');
    const folders = readdirSync(shipped, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    this.#sources = [...extra, ...folders.map((entry) => join(shipped, entry.name)).sort()];
  }

  /** By the user's word: a folder (ours too: `plugins/srvm`), or a package's name. @throws PluginLoadError */
  static load(source: string): Promise<LoadedPlugin> {
    const path = resolveShipped(source);
    return loadPlugin(source.includes('/') || source.startsWith('.') ? path : source);
  }

  /** By the name a source VMM offers; null when it is not here. */
  async find(name: string): Promise<LoadedPlugin | null> {
    for (const source of this.#sources) {
      const plugin = await PluginCatalog.load(source).catch(() => null);
      if (plugin?.definition.name === name) return plugin;
    }
    return null;
  }

  async list(): Promise<(PluginEntry | BrokenPlugin)[]> {
    return await Promise.all(
      this.#sources.map(async (source) => {
        try {
          const { definition } = await PluginCatalog.load(source);
          const { name, version, description = '', options = {} } = definition;
          return { name, version, description, source, claims: claimsOf(definition), options };
        } catch (error) {
          return { source, error: (error as Error).message };
        }
      }),
    );
  }
}
