/**
 * A riscv64 Linux guest in its vCPU's worker.
 */
import { randomFillSync } from 'node:crypto';
import { realClock } from '../hardware/clock.js';
import type { GuestBus } from '../machine/guest-bus.js';
import { readCommandLine } from '../machine/memory.js';
import type { VcpuPort } from '../machine/vcpu-reporter.js';
import { rv64LayoutFor } from '../rv64/cpu/layout.js';
import { loadLinux, startHart } from '../rv64/machine/boot.js';
import type { LinuxImage } from '../rv64/machine/linux-image-files.js';
import { Rv64Vcpu } from '../rv64/machine/rv64-vcpu.js';

export interface LinuxVcpuBoot {
  readonly image: LinuxImage;
  readonly memory: WebAssembly.Memory;
  readonly port: VcpuPort;
  /** Of the hypervisor's functions. */
  readonly slots: readonly { readonly slot: number }[];
}

/** Blocks the thread until the guest has ended. */
export function runLinux({ image, memory, port, slots }: LinuxVcpuBoot, bus: GuestBus): void {
  const layout = rv64LayoutFor(image.ramBytes);
  const boot = { memory, layout, port, vfSlots: slots.map(({ slot }) => slot) };
  new Rv64Vcpu(boot, {
    bus,
    clock: realClock,
    wallNs: () => BigInt(Date.now()) * 1_000_000n,
    random: (bytes) => randomFillSync(bytes),
    boot: (machine) => {
      const commandLine = Buffer.from(readCommandLine(memory, layout.machine)).toString();
      startHart(machine.core, loadLinux(memory, layout, image, commandLine));
    },
  }).runToEnd();
}
