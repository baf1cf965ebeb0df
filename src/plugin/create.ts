/** From a plugin and a passed-through VF to what the migration engine drives. */

import { BAR_WORD } from '../hypervisor/bar-map.js';
import { PASSTHROUGH_OPENER, type PassedThroughVf } from '../hypervisor/passthrough.js';
import type { DeviceMigrator } from '../migration/device-migrator.js';
import type { DeviceAccess } from './device-access.js';
import { type HostOptions, PluginMigrator } from './host.js';
import { type LoadedPlugin, resolveOptions } from './loader.js';

export interface DeviceMigratorOptions extends Pick<HostOptions, 'limits' | 'startCore'> {
  readonly plugin: LoadedPlugin;
  /** What the user gave, `{ mode: 'scan' }`; completed with the plugin's defaults. */
  readonly options?: Readonly<Record<string, string>>;
  readonly device: PassedThroughVf;
  /** Sentences of the plugin's, as they come. */
  readonly onNote?: (text: string) => void;
}

/** @throws PluginOptionError */
export function createDeviceMigrator(options: DeviceMigratorOptions): DeviceMigrator {
  const { plugin, device, limits, startCore, onNote } = options;
  return new PluginMigrator({
    definition: plugin.definition,
    options: resolveOptions(plugin.definition, options.options ?? {}),
    access: accessTo(device),
    timers: device.nic.threads.timers,
    ...(limits && { limits }),
    ...(startCore && { startCore }),
    ...(onNote && { onNote }),
  });
}

function accessTo(device: PassedThroughVf): DeviceAccess {
  const { view } = device;
  return {
    parts: view,
    handle: device.handle,
    opener: PASSTHROUGH_OPENER,
    exits: device.exits,
    wake: { words: view.pages.words, index: BAR_WORD.wake },
  };
}
