/** The plugins of this repository, by their folders: a further one is tested by being there. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MakeGuestHalf } from '../../src/plugin/conformance/index.js';
import type { PluginDefinition } from '../../src/plugin/definition.js';
import { loadPlugin } from '../../src/plugin/loader.js';
import { CompscGuest } from './guests/compsc-guest.js';
import { SuspendGuest } from './guests/suspend-guest.js';

// dist/test/plugins -> the repository
const FOLDERS = fileURLToPath(new URL('../../../plugins/', import.meta.url));

export interface PluginCase {
  readonly title: string;
  readonly definition: PluginDefinition;
  readonly options: Readonly<Record<string, string>>;
  /** The guest's half, for a method that needs one. */
  readonly guestHalf: MakeGuestHalf | null;
}

/** By plugin. */
const GUEST_HALVES: Readonly<Record<string, MakeGuestHalf>> = {
  compsc: (driver) => new CompscGuest(driver),
  'vf-suspend': (driver) => new SuspendGuest(driver),
};

/** Every plugin, once for each value of its option `mode`. */
export async function shippedPlugins(): Promise<PluginCase[]> {
  const cases: PluginCase[] = [];
  for (const entry of readdirSync(FOLDERS, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const { definition } = await loadPlugin(`${FOLDERS}${entry.name}`);
    const modes = definition.options?.['mode']?.values;
    for (const mode of modes ?? [null]) {
      const title = mode === null ? definition.name : `${definition.name} ${mode}`;
      cases.push({
        title,
        definition,
        options: mode === null ? {} : { mode },
        guestHalf: GUEST_HALVES[definition.name] ?? null,
      });
    }
  }
  return cases;
}
