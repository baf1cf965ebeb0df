/**
 * Linux guests for scenarios: one in this process, with a VF on a wire of its own; and whether they can be had at all.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LinuxShell } from '../../src/cli/linux-shell.js';
import { readImage } from '../../src/control/images.js';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import { Vmm } from '../../src/control/vmm.js';
import { VmmMigrations } from '../../src/control/vmm-migration.js';
import type { Nic } from '../../src/hypervisor/nic.js';
import type { VirtualMachine } from '../../src/hypervisor/vm.js';
import { readLinuxImage } from '../../src/rv64/machine/linux-image-files.js';
import { JUMBO_MTU, savedGuest } from './linux-saved.js';
import { until } from './shuttle.js';

const IMAGE_FOLDER = 'guest-images/debian-riscv64';
const MANIFEST = readImage(join(PACKAGE_ROOT, IMAGE_FOLDER));
/** The image is built from Debian's packages, which a test does not fetch. */
export const isImageBuilt = existsSync(MANIFEST.component);
export const NOT_BUILT = `the image ${IMAGE_FOLDER} is not built: npm run image:debian-riscv64`;
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

/** A guest in this process whose shell waits: restored from one that was booted and saved. */
export async function bootLocal(
  wire: string,
  mac: string,
  more: string,
  memoryMiB = DEFAULT_MEMORY_MIB,
): Promise<LocalGuest> {
  const saved = await savedLinux(mac, more, memoryMiB);
  let text = '';
  const vmm = new Vmm({
    name: mac,
    linkSpeedMbps: 0,
    mtu: JUMBO_MTU,
    emit: () => {},
    onTerminal: (bytes) => (text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '')),
  });
  const migrations = new VmmMigrations(vmm, []);
  await migrations.listen(`file:${saved}`, [{ wire, trust: true }], memoryMiB * MIB);
  await until(`the saved guest ${mac} runs`, () => {
    const { status, error } = migrations.incoming();
    if (error !== null) throw new Error(`the saved guest ${saved} cannot be restored: ${error}`);
    return status === 'running';
  });
  const vm = vmm.requireVm();
  const nic = [...vmm.nics.values()][0]!;
  const terminal = { type: (typed: string) => vm.typeIn(Buffer.from(typed)), text: () => text };
  const shell = new LinuxShell(mac, terminal);
  return {
    vm,
    nic,
    shell,
    async close() {
      await migrations.close();
      await vmm.close();
    },
  };
}

/** The file of such a guest, booted and saved; see linux-saved.ts. */
export const savedLinux = (
  mac: string,
  more: string,
  memoryMiB = DEFAULT_MEMORY_MIB,
  trafficClasses = 1,
): Promise<string> => savedGuest(MANIFEST, { mac, more, memoryMiB, trafficClasses });
