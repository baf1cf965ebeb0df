/**
 * First boot, and every later one: the image's files into RAM, and the hart to its entry.
 */
import { randomFillSync } from 'node:crypto';
import type { Rv64Core } from '../cpu/core.js';
import type { Rv64Layout } from '../cpu/layout.js';
import { type BootEntry, loadBootImage } from './boot-image.js';
import { type LinuxImage, readBootFiles } from './linux-image-files.js';
import { HART_ID } from './memory-map.js';

/** Exactly what the core does. */
export const ISA_EXTENSIONS = [
  'i',
  'm',
  'a',
  'f',
  'd',
  'c',
  'zicsr',
  'zifencei',
  'zicntr',
  'zicboz',
  'sstc',
  'smaia',
  'ssaia',
] as const;
const SEED_BYTES = 64;

/** @throws BootError */
export function loadLinux(
  memory: WebAssembly.Memory,
  { machine }: Rv64Layout,
  image: LinuxImage,
  commandLine: string,
): BootEntry {
  const ram = new Uint8Array(memory.buffer, 0, machine.ramBytes);
  return loadBootImage(ram, {
    ...readBootFiles(image),
    ramBytes: machine.ramBytes,
    commandLine,
    isaExtensions: ISA_EXTENSIONS,
    seed: randomFillSync(new Uint8Array(SEED_BYTES)),
  });
}

export function startHart(core: Rv64Core, { entry, deviceTree }: BootEntry): void {
  core.reset(entry, HART_ID, deviceTree);
}
