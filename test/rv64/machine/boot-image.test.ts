/** Kernel and initramfs: where they are put, and what is said about files that are none. */
import { describe, expect, it } from 'vitest';
import { BootError } from '../../../src/rv64/machine/boot-error.js';
import { loadBootImage } from '../../../src/rv64/machine/boot-image.js';
import { readKernelHeader } from '../../../src/rv64/machine/linux-image.js';
import { MAP } from '../../../src/rv64/machine/memory-map.js';

const RAM_BYTES = 16 * 2 ** 20;

function kernel(change: (view: DataView) => void = () => {}, bytes = 4096): Uint8Array {
  const file = new Uint8Array(bytes);
  const view = new DataView(file.buffer);
  view.setBigUint64(8, 0x20_0000n, true);
  view.setBigUint64(16, 8192n, true);
  file.set(Buffer.from('RISCV\0\0\0'), 48);
  file.set(Buffer.from('RSC\x05'), 56);
  change(view);
  return file;
}

const plan = (file: Uint8Array, initramfs: Uint8Array | null = null, commandLine = '') => ({
  kernel: file,
  kernelPath: 'vmlinux',
  initramfs,
  initramfsPath: 'initramfs.cpio',
  ramBytes: RAM_BYTES,
  commandLine,
  isaExtensions: ['i'],
  seed: new Uint8Array(8),
});

describe('a kernel', () => {
  it('lies where its header wants it, the initramfs and the tree at the end', () => {
    const ram = new Uint8Array(RAM_BYTES);
    const initramfs = Buffer.from('070701 and so on');
    const file = kernel();
    const { entry, deviceTree } = loadBootImage(ram, plan(file, initramfs));
    expect(entry).toBe(MAP.ram.base + 0x20_0000);
    expect(ram.subarray(0x20_0000, 0x20_0000 + file.length)).toEqual(file);
    const treeAt = deviceTree - MAP.ram.base;
    expect(Buffer.from(ram.buffer).readUInt32BE(treeAt)).toBe(0xd00dfeed);
    expect(Buffer.from(ram.subarray(treeAt - 4096, treeAt - 4096 + 6)).toString()).toBe('070701');
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['a short file', new Uint8Array(10), /only 10 bytes/],
    ['gzip', kernel((view) => view.setUint16(0, 0x1f8b)), /gzip/],
    ['an ELF file', kernel((view) => view.setUint32(0, 0x7f454c46)), /ELF/],
    ['zeros', new Uint8Array(4096), /RISCV/],
    ['a big-endian kernel', kernel((view) => view.setBigUint64(24, 1n, true)), /big-endian/],
    ['an odd offset', kernel((view) => view.setBigUint64(8, 0x1234n, true)), /2 MiB/],
    [
      'a size smaller than the file',
      kernel((view) => view.setBigUint64(16, 5n, true)),
      /header says 5 bytes/,
    ],
  ])('is refused when it is %s', (_, file, why) => {
    expect(() => readKernelHeader(file, 'vmlinux')).toThrow(BootError);
    expect(() => readKernelHeader(file, 'vmlinux')).toThrow(why);
  });

  it('is refused where it does not fit, and with what is no initramfs', () => {
    const ram = new Uint8Array(RAM_BYTES);
    const large = kernel((view) => view.setBigUint64(16, BigInt(RAM_BYTES), true));
    expect(() => loadBootImage(ram, plan(large))).toThrow(/too little/);
    expect(() => loadBootImage(ram, plan(kernel(), Buffer.from('hello')))).toThrow(/no initramfs/);
    expect(() => loadBootImage(ram, plan(kernel(), null, 'x'.repeat(1024)))).toThrow(/longer than/);
  });
});
