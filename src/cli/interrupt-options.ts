/** How a host serves its guests' interrupts, as `srvm run` and `srvm receive` are told. */
import type { Command } from 'commander';
import { type ItrPolicy, MAX_INTERVAL_US } from '../hypervisor/coalescing.js';
import type { InterruptOptions } from '../hypervisor/vm.js';
import { OptionError, parseWhole } from './options.js';

export interface InterruptFlags {
  readonly accelMask: boolean;
  readonly accelEoi: boolean;
  readonly itr?: string;
}

const FIXED = 'fixed=';

export function withInterruptOptions(command: Command): Command {
  return command
    .option('--no-accel-mask', 'accesses to the MSI-X table are served by the main thread, not in the vCPU')
    .option('--no-accel-eoi', 'the same for ends of interrupts (component guests; others have none)')
    .option(
      '--itr <policy>',
      "who sets the VF's interrupt interval: fixed=N (us), adaptive or off (none at all); its driver without this",
    );
}

/** @throws OptionError */
export function interruptOptions({ accelMask, accelEoi, itr }: InterruptFlags): InterruptOptions {
  return { accelMask, accelEoi, ...(itr === undefined ? {} : { itr: itrPolicy(itr) }) };
}

export function itrPolicy(text: string): ItrPolicy {
  if (text === 'adaptive' || text === 'off') return { kind: text };
  if (!text.startsWith(FIXED)) throw new OptionError(`--itr: '${text}': fixed=N, adaptive or off`);
  return { kind: 'fixed', us: parseWhole(text.slice(FIXED.length), '--itr fixed', 0, MAX_INTERVAL_US) };
}
