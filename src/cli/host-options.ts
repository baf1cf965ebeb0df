/** What `srvm run` and `srvm receive` are both told of the host that a VM has: its ports, its IOMMU, its interrupts, its plugins. */
import type { Command } from 'commander';
import { type InterruptFlags, withInterruptOptions } from './interrupt-options.js';
import { OptionError, parseKeyValues, parseWhole } from './options.js';
import { repeatable } from './output.js';
import type { ServeOptions } from './serve.js';

export interface HostFlags extends InterruptFlags {
  readonly plugin: readonly string[];
  readonly linkSpeed?: string;
  readonly mtu?: string;
  readonly tcs?: string;
  readonly iommu?: string;
  readonly console?: boolean;
}

export function withHostOptions(command: Command): Command {
  return withInterruptOptions(command)
    .option('--plugin <folder>', 'a further plugin, for VMs that arrive here (repeatable)', repeatable, [])
    .option('--link-speed <mbps>', 'speed of the ports, Mb/s; 0 = unlimited')
    .option('--mtu <bytes>', 'longest packet of the ports, 1500 to 9710 (1500)')
    .option('--tcs <n>', "traffic classes of the ports: 2 give a stock driver's VF two receive queues (1)")
    .option(
      '--iommu <iommu>',
      "dirty-bits=on: the host's IOMMU keeps dirty bits (off, as the hardware SRVM was made for)",
    )
    .option('--console', "this terminal is the guest's (Linux guests): Ctrl-A x ends")
    .option('--no-console', "do not print the guest's console");
}

/** @throws OptionError */
export function hostOf(flags: HostFlags): Omit<ServeOptions, 'name' | 'console' | 'begin'> {
  const whole = (text: string | undefined, option: string, least: number, most: number) =>
    text === undefined ? undefined : parseWhole(text, option, least, most);
  return {
    linkSpeedMbps: whole(flags.linkSpeed, '--link-speed', 0, 1_000_000),
    mtu: whole(flags.mtu, '--mtu', 1500, 9710),
    trafficClasses: whole(flags.tcs, '--tcs', 1, 2),
    iommuDirtyBits: iommuDirtyBits(flags.iommu),
    interrupts: flags,
    plugins: flags.plugin,
  };
}

function iommuDirtyBits(text: string | undefined): boolean {
  if (text === undefined) return false;
  const value = parseKeyValues(text, '--iommu', ['dirty-bits'] as const)['dirty-bits'];
  if (value !== 'on' && value !== 'off')
    throw new OptionError(`--iommu: dirty-bits is on or off, not '${value}'`);
  return value === 'on';
}
