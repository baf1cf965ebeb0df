/**
 * A Linux guest on disk, as its builder left it: a manifest that names the kernel, the initramfs and their hashes. What is
 * started is what the manifest says, or nothing.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BootError } from './boot-error.js';
import type { BootFiles } from './boot-image.js';

/** Changes with everything that a moved guest would notice: addresses, devices, their state, instructions. */
const MACHINE_VERSION = 2;
const MANIFEST_VERSION = 1;
const SHA256 = /^[0-9a-f]{64}$/;

/** A guest of this machine. Plain data, so that it can be handed to any thread. */
export interface LinuxImage {
  readonly kind: 'rv64-linux';
  /** Hash of the files' hashes, the machine's version and the RAM size. */
  readonly key: string;
  readonly name: string;
  readonly ramBytes: number;
  readonly kernel: ImageFile;
  readonly initramfs: ImageFile;
  /** "linux-image-... 6.12-1", for people. */
  readonly kernelPackage: string;
}

export interface ImageFile {
  readonly path: string;
  readonly sha256: string;
}

/** @param path of the manifest. @throws BootError */
export function readLinuxImage(path: string, name: string, ramBytes: number): LinuxImage {
  const manifest = readManifest(path);
  const file = (key: string): ImageFile => {
    const entry = manifest[key] as Record<string, unknown> | undefined;
    const [at, sum] = [entry?.['file'], entry?.['sha256']];
    if (typeof at !== 'string' || typeof sum !== 'string' || !SHA256.test(sum)) {
      throw new BootError(`${path}: '${key}' must name a file and its sha256`);
    }
    return { path: join(dirname(path), at), sha256: sum };
  };
  const kernel = file('kernel');
  const initramfs = file('initramfs');
  const { package: packageName, version } = manifest['kernel'] as Record<string, unknown>;
  const key = createHash('sha256')
    .update(`machine ${MACHINE_VERSION}\nkernel ${kernel.sha256}\ninitramfs ${initramfs.sha256}\n`)
    .update(`ram ${ramBytes}\n`)
    .digest('hex');
  return {
    kind: 'rv64-linux',
    key,
    name,
    ramBytes,
    kernel,
    initramfs,
    kernelPackage: `${String(packageName)} ${String(version)}`,
  };
}

/** The files' bytes, checked against the manifest. @throws BootError */
export function readBootFiles({ kernel, initramfs }: LinuxImage): BootFiles {
  return {
    kernel: readChecked(kernel),
    kernelPath: kernel.path,
    initramfs: readChecked(initramfs),
    initramfsPath: initramfs.path,
  };
}

function readManifest(path: string): Record<string, unknown> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new BootError(
      `the image's manifest ${path} cannot be read: ${(error as Error).message}; build the image first`,
    );
  }
  const version = (manifest as { version?: unknown } | null)?.version;
  if (version !== MANIFEST_VERSION)
    throw new BootError(`${path} is no manifest of version ${MANIFEST_VERSION}`);
  return manifest as Record<string, unknown>;
}

function readChecked({ path, sha256 }: ImageFile): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new BootError(`${path} cannot be read: ${(error as Error).message}; build the image again`);
  }
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256)
    throw new BootError(`${path} has sha256 ${found}, its manifest says ${sha256}: build the image again`);
  return bytes;
}
