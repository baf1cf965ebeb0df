/**
 * The header of a flat riscv64 Linux kernel ("Image"): where it wants to lie, and how much room it takes.
 *
 *   0 code | 8 text_offset | 16 image_size | 24 flags | 32 version | 48 "RISCV\0\0\0" | 56 "RSC\x05"
 */
import { BootError } from './boot-error.js';

const HEADER_BYTES = 64;
const MAGIC = 'RISCV\0\0\0';
const MAGIC2 = 'RSC\x05';
const BIG_ENDIAN_FLAG = 1n;
/** Kernels start at a multiple of this. */
const LOAD_ALIGN = 2 ** 21;
const MOST_BYTES = 2 ** 28;

export interface KernelHeader {
  /** From the start of RAM. */
  readonly textOffset: number;
  /** What the kernel takes when it runs: its file and what it clears behind it. */
  readonly imageBytes: number;
}

/** @throws BootError that says what the file is not. */
export function readKernelHeader(file: Uint8Array, path: string): KernelHeader {
  const no = (why: string): never => {
    throw new BootError(`${path} is no riscv64 Linux kernel that can be started: ${why}`);
  };
  if (file.length < HEADER_BYTES) no(`it has only ${file.length} bytes`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint16(0) === 0x1f8b) no('it is compressed with gzip; uncompress it first');
  if (view.getUint32(0) === 0x7f454c46) no('it is an ELF file; the flat Image is wanted');
  const text = (at: number, length: number) => Buffer.from(file.subarray(at, at + length)).toString('latin1');
  if (text(48, 8) !== MAGIC && text(56, 4) !== MAGIC2) no("its header lacks the mark 'RISCV'");
  if (text(56, 4) !== MAGIC2) no("its header lacks the mark 'RSC'");
  if ((view.getBigUint64(24, true) & BIG_ENDIAN_FLAG) !== 0n) no('it is big-endian');
  const textOffset = view.getBigUint64(8, true);
  const imageBytes = view.getBigUint64(16, true);
  if (textOffset % BigInt(LOAD_ALIGN) !== 0n || textOffset > BigInt(MOST_BYTES)) {
    no(`it wants to lie at offset 0x${textOffset.toString(16)}, which is no small multiple of 2 MiB`);
  }
  if (imageBytes < BigInt(file.length) || imageBytes > BigInt(MOST_BYTES)) {
    no(`its header says ${imageBytes} bytes, the file has ${file.length}`);
  }
  return { textOffset: Number(textOffset), imageBytes: Number(imageBytes) };
}
