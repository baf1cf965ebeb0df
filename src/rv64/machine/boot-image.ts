/**
 * Puts a kernel, an initramfs and the device tree into RAM, as a boot loader would.
 *
 *   RAM  | kernel at its text_offset ... | free ... | initramfs | device tree | end
 */
import { BootError } from './boot-error.js';
import { deviceTree } from './device-tree.js';
import { readKernelHeader } from './linux-image.js';
import { MAP, type Range } from './memory-map.js';

export interface BootFiles {
  readonly kernel: Uint8Array;
  readonly kernelPath: string;
  readonly initramfs: Uint8Array | null;
  readonly initramfsPath: string;
}

export interface BootPlan extends BootFiles {
  readonly ramBytes: number;
  readonly commandLine: string;
  readonly isaExtensions: readonly string[];
  readonly seed: Uint8Array;
}

/** Where the hart begins, and what it is told. */
export interface BootEntry {
  readonly entry: number;
  readonly deviceTree: number;
}

const PAGE = 4096;
const DEVICE_TREE_ROOM = 64 * 1024;
/** newc archives, and what the kernel can uncompress: gzip, xz, zstd, lz4, bzip2, lzma, lzo. */
const INITRAMFS_STARTS = [
  '303730373031',
  '1f8b',
  'fd377a58',
  '28b52ffd',
  '02214c18',
  '425a68',
  '5d0000',
  '894c5a4f',
];
/** COMMAND_LINE_SIZE of the kernel, which cuts what is longer. */
const MOST_COMMAND_LINE_BYTES = 1023;

/** @param ram guest RAM, all zero. @throws BootError */
export function loadBootImage(ram: Uint8Array, plan: BootPlan): BootEntry {
  const { kernel, initramfs, ramBytes } = plan;
  const header = readKernelHeader(kernel, plan.kernelPath);
  if (Buffer.byteLength(plan.commandLine) > MOST_COMMAND_LINE_BYTES) {
    throw new BootError(`the kernel's command line is longer than ${MOST_COMMAND_LINE_BYTES} bytes`);
  }
  const treeAt = ramBytes - DEVICE_TREE_ROOM;
  const initramfsAt = treeAt - Math.ceil((initramfs?.length ?? 0) / PAGE) * PAGE;
  const kernelEnd = header.textOffset + header.imageBytes;
  if (kernelEnd > initramfsAt) {
    throw new BootError(
      `${ramBytes / 2 ** 20} MiB of memory are too little for ${plan.kernelPath} ` +
        `(${Math.ceil(kernelEnd / 2 ** 20)} MiB) and its initramfs`,
    );
  }
  ram.set(kernel, header.textOffset);
  let place: Range | null = null;
  if (initramfs !== null) {
    checkInitramfs(initramfs, plan.initramfsPath);
    ram.set(initramfs, initramfsAt);
    place = { base: MAP.ram.base + initramfsAt, bytes: initramfs.length };
  }
  const tree = deviceTree({ ...plan, initramfs: place });
  if (tree.length > DEVICE_TREE_ROOM) throw new BootError(`the device tree has ${tree.length} bytes`);
  ram.set(tree, treeAt);
  return { entry: MAP.ram.base + header.textOffset, deviceTree: MAP.ram.base + treeAt };
}

function checkInitramfs(bytes: Uint8Array, path: string): void {
  const start = Buffer.from(bytes.subarray(0, 6)).toString('hex');
  if (!INITRAMFS_STARTS.some((known) => start.startsWith(known))) {
    throw new BootError(`${path} is no initramfs: it is neither a cpio archive (newc) nor a compressed one`);
  }
}
