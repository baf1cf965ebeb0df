/**
 * Linux guests for scenarios: one in this process, with a VF on a wire of its own; and whether they can be had at all.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LinuxShell } from '../../src/cli/linux-shell.js';
import { readImage } from '../../src/control/images.js';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import { Nic } from '../../src/hypervisor/nic.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { readLinuxImage } from '../../src/rv64/machine/linux-image-files.js';

export const IMAGE_FOLDER = 'guest-images/debian-riscv64';
const MANIFEST = readImage(join(PACKAGE_ROOT, IMAGE_FOLDER));
/** The image is built from Debian's packages, which a test does not fetch. */
export const isImageBuilt = existsSync(MANIFEST.component);
export const NOT_BUILT = `the image ${IMAGE_FOLDER} is not built: npm run image:debian-riscv64`;
const JUMBO_FRAME_BYTES = 9728;
const MIB = 2 ** 20;
const DEFAULT_MEMORY_MIB = 256;

export interface LocalGuest {
  readonly vm: VirtualMachine;
  readonly nic: Nic;
  readonly shell: LinuxShell;
  close(): Promise<void>;
}

export const linuxImage = (memoryMiB = DEFAULT_MEMORY_MIB) =>
  readLinuxImage(MANIFEST.component, MANIFEST.name, memoryMiB * MIB);
export const linuxCommandLine = (more: string): string => `${MANIFEST.commandLine} ${more}`;

/** Boots a guest in this process and waits for its shell. */
export async function bootLocal(
  wire: string,
  mac: string,
  more: string,
  memoryMiB = DEFAULT_MEMORY_MIB,
): Promise<LocalGuest> {
  const nic = await Nic.open({ wire, vfCount: 1, linkSpeedMbps: 0, maxFrameBytes: JUMBO_FRAME_BYTES });
  let text = '';
  const vm = await VirtualMachine.create({
    name: mac,
    image: linuxImage(memoryMiB),
    commandLine: linuxCommandLine(more),
    vfs: [{ nic, assignment: { mac, trusted: true } }],
    onEvent: (event) => {
      if (event.kind === 'terminal') text += Buffer.from(event.bytes).toString('latin1').replaceAll('\r', '');
    },
  });
  const terminal = { type: (typed: string) => vm.typeIn(Buffer.from(typed)), text: () => text };
  const shell = new LinuxShell(mac, terminal);
  vm.start();
  await shell.booted();
  return {
    vm,
    nic,
    shell,
    async close() {
      await vm.destroy();
      await nic.close();
    },
  };
}
