/**
 * Booted Linux guests, saved to files: a scenario restores one instead of booting it. The first who needs one boots it, the
 * others wait; it is kept beside the built images, under a name that changes with the image, with the command line and with
 * the code that wrote it.
 *
 *   there? -> its path
 *   else lock -> boot, link up -> save aside -> rename -> unlock -> its path
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../src/cli/lab.js';
import { LinuxShell } from '../../src/cli/linux-shell.js';
import type { ImageManifest } from '../../src/control/images.js';
import { imageCacheDir } from '../../src/control/package-root.js';
import { Vmm } from '../../src/control/vmm.js';
import { VmmMigrations } from '../../src/control/vmm-migration.js';
import { openWire } from '../../src/hardware/wire/open.js';
import { readLinuxImage } from '../../src/rv64/machine/linux-image-files.js';

/** What a saved guest was booted with. */
export interface SavedGuestOptions {
  readonly mac: string;
  /** Words of the command line besides the image's own. */
  readonly more: string;
  readonly memoryMiB: number;
  /** Of its port: 1 by default. */
  readonly trafficClasses?: number;
}

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** Folders with what a saved guest's bytes depend on. */
const CODE = [
  'src/hardware',
  'src/machine',
  'src/rv64',
  'src/hypervisor',
  'src/migration',
  'src/plugin',
  'plugins/srvm',
];
const MIB = 2 ** 20;
const BOOT_LIMIT_MS = 240_000;
const LOOK_EVERY_MS = 100;
/** Kept at most; each takes some 75 MB. */
const KEPT = 6;
/** Not removed before: somebody may be about to open it. */
const IN_USE_MS = 600_000;
/** The longest packet of its port, as in every local guest. */
export const JUMBO_MTU = 9710;

/** The path of such a guest, booted, its shell waiting for the first command, its link up if it has an address. */
export async function savedGuest(image: ImageManifest, options: SavedGuestOptions): Promise<string> {
  const folder = join(imageCacheDir(), 'saved-guests');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${nameOf(image, options)}.srvm`);
  for (;;) {
    if (existsSync(path)) {
      utimesSync(path, new Date(), new Date());
      return path;
    }
    const unlock = tryLock(`${path}.lock`);
    if (unlock === null) {
      await sleep(LOOK_EVERY_MS);
      continue;
    }
    try {
      if (existsSync(path)) continue;
      removeOld(folder);
      const aside = `${path}.${process.pid}`;
      await bootAndSave(image, options, aside);
      renameSync(aside, path);
    } finally {
      unlock();
    }
  }
}

function nameOf(
  image: ImageManifest,
  { mac, more, memoryMiB, trafficClasses = 1 }: SavedGuestOptions,
): string {
  const { key } = readLinuxImage(image.component, image.name, memoryMiB * MIB);
  const hash = createHash('sha256').update(
    `${key}\n${image.commandLine}\n${more}\n${mac} ${trafficClasses}\n`,
  );
  for (const folder of CODE) {
    const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => /\.(js|wasm)$/.test(name)).sort()) {
      hash.update(`${file}\n`).update(readFileSync(join(ROOT, folder, file)));
    }
  }
  return `${image.name}-${hash.digest('hex').slice(0, 32)}`;
}

/** Null while somebody who is alive has it. */
function tryLock(path: string): (() => void) | null {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return () => rmSync(path, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  try {
    const owner = Number(readFileSync(path, 'utf8'));
    // one that is just being written names nobody yet
    if (owner > 0 && !isAlive(owner)) rmSync(path, { force: true });
  } catch {
    // its owner has let go of it
  }
  return null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function removeOld(folder: string): void {
  const files = readdirSync(folder)
    .map((name) => join(folder, name))
    .map((path) => ({ path, usedMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.usedMs - a.usedMs);
  for (const { path, usedMs } of files.slice(KEPT)) {
    if (Date.now() - usedMs > IN_USE_MS) rmSync(path, { force: true });
  }
}

async function bootAndSave(
  image: ImageManifest,
  { mac, more, memoryMiB, trafficClasses = 1 }: SavedGuestOptions,
  path: string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'srvm-boot-'));
  const wire = join(folder, 'wire.sock');
  // somebody at the other end: the link is up
  const peer = openWire(`unix:${wire},server`);
  let text = '';
  const vmm = new Vmm({
    name: 'booting',
    mtu: JUMBO_MTU,
    trafficClasses,
    emit: () => {},
    onTerminal: (bytes) => (text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '')),
  });
  const migrations = new VmmMigrations(vmm, []);
  try {
    const vf = { mac, wire: `unix:${wire}`, trust: true };
    const vm = await vmm.createVm(image, memoryMiB * MIB, `${image.commandLine} ${more}`, [vf]);
    const terminal = { type: (typed: string) => vm.typeIn(Buffer.from(typed)), text: () => text };
    const shell = new LinuxShell('a guest to be saved', terminal);
    vm.start();
    await shell.booted(BOOT_LIMIT_MS);
    if (/\bip=/.test(more)) {
      await shell.run(
        'until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 100000; done',
        BOOT_LIMIT_MS,
      );
    }
    await migrations.start({ uri: `file:${path}`, plugin: null, pluginOptions: {} });
    while (migrations.lastReport === null) await sleep(LOOK_EVERY_MS);
    const { outcome, error } = migrations.lastReport;
    if (outcome !== 'completed') throw new Error(`the booted guest could not be saved: ${error}`);
  } finally {
    await migrations.close();
    await vmm.close();
    await peer.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
