/** What of a VM the migration engine moves besides RAM and vCPU: its VFs, its paravirtual NICs, its virtual interfaces. */
import type { ParavirtualNet } from '../hypervisor/paravirtual-net.js';
import { Vif } from '../hypervisor/sv-nic.js';
import type { VirtualMachine } from '../hypervisor/vm.js';
import type { DeviceMigrator } from '../migration/device-migrator.js';
import { createDeviceMigrator, type DeviceMigratorOptions } from '../plugin/create.js';
import type { LoadedPlugin } from '../plugin/loader.js';
import { createVifMigrator } from '../plugin/vif-access.js';
import { DeviceGroup } from './device-group.js';
import { NetMigrator } from './net-migrator.js';

/** Moves virtual interfaces where nobody names another plugin. */
export const VIF_PLUGIN = 'sv-nic';

export const vifsOf = (vm: VirtualMachine): readonly ParavirtualNet[] =>
  vm.nets.filter((net) => net.server instanceof Vif);

export interface DevicePlugins {
  /** For the VFs; null without any. */
  readonly plugin: LoadedPlugin | null;
  readonly options: Readonly<Record<string, string>>;
  /** For the virtual interfaces; null without any. */
  readonly vifPlugin?: LoadedPlugin | null;
  readonly vifOptions?: Readonly<Record<string, string>>;
}

/** All VFs of a VM, and its paravirtual NICs and virtual interfaces behind them, as one device. */
export function deviceOf(
  vm: VirtualMachine,
  { plugin, options, vifPlugin = null, vifOptions = {} }: DevicePlugins,
  host: Pick<DeviceMigratorOptions, 'limits' | 'startCore' | 'onNote'> = {},
): DeviceMigrator | null {
  const vfs =
    plugin === null ? [] : vm.vfs.map((device) => createDeviceMigrator({ plugin, options, device, ...host }));
  const nets = vm.nets.map((net) => {
    const { server } = net;
    if (!(server instanceof Vif) || vifPlugin === null) return new NetMigrator(net);
    const { memory } = net.domain;
    const { ramBytes } = vm.layout;
    return createVifMigrator({
      plugin: vifPlugin,
      options: vifOptions,
      net,
      vif: server,
      memory,
      ramBytes,
      ...host,
    });
  });
  const migrators = [...vfs, ...nets];
  if (migrators.length <= 1) return migrators[0] ?? null;
  const names = [...vfs.map((_, index) => `VF ${index}`), ...nets.map((_, index) => `NIC ${index}`)];
  return new DeviceGroup(migrators, names);
}
