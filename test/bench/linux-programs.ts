/**
 * Programs for a riscv64 Linux guest, small enough to be typed into its shell: an ELF file of one segment that does its work
 * and ends. The same bytes run in every machine that is compared.
 */
import { I, loadImmediate } from '../rv64/cpu/assembler.js';
import { ARITHMETIC_ROUND, COPY_LOOP } from './rv64-loops.js';

const BASE = 0x10000;
const HEADERS_BYTES = 64 + 56;
const SYSCALL_EXIT = 93;
const READ_WRITE_EXECUTE = 7;
/** The copying program's two regions, behind its code. */
const REGION_BYTES = 2 ** 20;

/** The branch leaves one out every other time. */
const ARITHMETIC_INSTRUCTIONS = ARITHMETIC_ROUND.length - 0.5 + 2;

/** Instructions that `rounds` of the arithmetic program retire. */
export const arithmeticInstructions = (rounds: number): number => rounds * ARITHMETIC_INSTRUCTIONS;

/** Runs the loop that often and ends. */
export function arithmeticProgram(rounds: number): Buffer {
  const body = [...ARITHMETIC_ROUND, I.addi(16, 16, -1)];
  return elf([
    ...loadImmediate(6, 0x2545f491n),
    ...loadImmediate(16, BigInt(rounds)),
    ...body,
    I.bne(16, 0, -4 * body.length),
    ...EXIT,
  ]);
}

/** Copies one MiB to another without end. */
export function copyingProgram(): Buffer {
  const setUp = [
    ...loadImmediate(5, BigInt(BASE + REGION_BYTES)),
    ...loadImmediate(6, BigInt(BASE + 2 * REGION_BYTES)),
    ...loadImmediate(22, BigInt(BASE + 2 * REGION_BYTES)),
  ];
  return elf([...setUp, ...COPY_LOOP, I.jal(0, -4 * (setUp.length + COPY_LOOP.length))], 3 * REGION_BYTES);
}

/** Shell lines that leave the program at `path`; each fits a terminal's line. */
export function typedProgram(program: Buffer, path: string): string[] {
  const lines = [`: >${path}`];
  for (let at = 0; at < program.length; at += 48) {
    const bytes = [...program.subarray(at, at + 48)].map((byte) => `\\0${byte.toString(8)}`).join('');
    lines.push(`printf '%b' '${bytes}' >>${path}`);
  }
  return [...lines, `chmod +x ${path}`];
}

const EXIT = [I.addi(10, 0, 0), I.addi(17, 0, SYSCALL_EXIT), I.ecall()];

function elf(words: readonly number[], memoryBytes = 0): Buffer {
  const bytes = HEADERS_BYTES + 4 * words.length;
  const file = Buffer.alloc(bytes);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16); // executable
  file.writeUInt16LE(243, 18); // RISC-V
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(BASE + HEADERS_BYTES), 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt32LE(4, 48); // double-float calls
  [64, 56, 1, 64].forEach((value, i) => void file.writeUInt16LE(value, 52 + 2 * i));
  file.writeUInt32LE(1, 64); // loaded
  file.writeUInt32LE(READ_WRITE_EXECUTE, 68);
  file.writeBigUInt64LE(BigInt(BASE), 80);
  file.writeBigUInt64LE(BigInt(BASE), 88);
  file.writeBigUInt64LE(BigInt(bytes), 96);
  file.writeBigUInt64LE(BigInt(Math.max(bytes, memoryBytes)), 104);
  file.writeBigUInt64LE(4096n, 112);
  words.forEach((word, i) => void file.writeUInt32LE(word, HEADERS_BYTES + 4 * i));
  return file;
}
