/**
 * Function bodies as lists of instructions that point into the original bytes: a pass copies what it does not change.
 */
import { GuestImageError } from '../guest-image-error.js';
import { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { immediateKind, OP } from './opcodes.js';

export interface Instruction {
  readonly op: number;
  /** Where its bytes are in the body's code. */
  readonly at: number;
  readonly end: number;
  /** First immediate: index, label depth, block type, memarg offset, i32 constant, lane or align as the opcode has it. */
  readonly a: number;
  /** Second immediate, where there is one. */
  readonly b: number;
  /** Label depths of br_table, the default last; null otherwise. */
  readonly depths: readonly number[] | null;
}

/** Decodes a whole body. Refuses opcodes that it does not know. */
export function decodeBody(code: Uint8Array): Instruction[] {
  const reader = new ByteReader(code);
  const instructions: Instruction[] = [];
  while (!reader.done) instructions.push(decodeInstruction(reader));
  return instructions;
}

function decodeInstruction(reader: ByteReader): Instruction {
  const at = reader.at;
  const op = readOpcode(reader);
  let a = 0;
  let b = 0;
  let depths: number[] | null = null;
  switch (immediateKind(op)) {
    case 'none':
      break;
    case 'block-type':
    case 'i32':
      a = reader.s33();
      break;
    case 'index':
      a = reader.u32();
      break;
    case 'two-indices':
      a = reader.u32();
      b = reader.u32();
      break;
    case 'br-table':
      depths = reader.vector((r) => r.u32());
      depths.push(reader.u32());
      break;
    case 'memarg':
      b = readAlign(reader);
      a = reader.u32();
      break;
    case 'memarg-lane':
      b = readAlign(reader);
      a = reader.u32();
      reader.byte();
      break;
    case 'lane':
    case 'one-byte':
      a = reader.byte();
      break;
    case 'i64':
      reader.skipS64();
      break;
    case 'four-bytes':
      reader.skip(4);
      break;
    case 'eight-bytes':
      reader.skip(8);
      break;
    case 'sixteen-bytes':
      reader.skip(16);
      break;
    case 'type-vector':
      a = reader.vector((r) => r.byte())[0] ?? 0;
      break;
    case null:
      throw new GuestImageError(
        'unsupported-instruction',
        `the image uses an instruction that is not supported (${opcodeName(op)}): build it for WebAssembly 2.0`,
      );
  }
  return { op, at, end: reader.at, a, b, depths };
}

function readOpcode(reader: ByteReader): number {
  const first = reader.byte();
  if (first < 0xfb || first > 0xfe) return first;
  const sub = reader.u32();
  return sub > 0xff ? (first << 16) | (sub & 0xffff) : (first << 8) | sub;
}

function readAlign(reader: ByteReader): number {
  const align = reader.u32();
  if (align >= 0x40) {
    throw new GuestImageError(
      'several-memories',
      'the image addresses a second memory; one memory is supported',
    );
  }
  return align;
}

function opcodeName(op: number): string {
  if (op === 0x12 || op === 0x13) return 'a tail call';
  if ((op >= 0x06 && op <= 0x0a) || op === 0x18 || op === 0x19 || op === 0x1f) return 'exception handling';
  if (op >>> 8 === 0xfb || op >>> 16 === 0xfb) return 'garbage collection';
  if (op >>> 16 === 0xfd) return 'relaxed SIMD';
  return `opcode 0x${op.toString(16)}`;
}

/** Skips a constant expression and returns its bytes, end included. */
export function skipConstantExpression(reader: ByteReader): Uint8Array {
  const from = reader.at;
  while (decodeInstruction(reader).op !== OP.end);
  return reader.bytes.subarray(from, reader.at);
}

/** The value of `i32.const N; end` as an unsigned number; null for any other expression. */
export function constantI32(expression: Uint8Array): number | null {
  const [first, second] = decodeBody(expression);
  return first?.op === OP.i32Const && second?.op === OP.end ? first.a >>> 0 : null;
}

/** Index of the end that closes each block, loop and if; index of the else for each if that has one. */
export function matchBlocks(instructions: readonly Instruction[]): {
  readonly endOf: Int32Array;
  readonly elseOf: Int32Array;
} {
  const endOf = new Int32Array(instructions.length).fill(-1);
  const elseOf = new Int32Array(instructions.length).fill(-1);
  const open: number[] = [];
  for (let i = 0; i < instructions.length; i++) {
    const { op } = instructions[i];
    if (op === OP.block || op === OP.loop || op === OP.if) open.push(i);
    else if (op === OP.else && open.length > 0) elseOf[open[open.length - 1]] = i;
    else if (op === OP.end) {
      const start = open.pop();
      if (start !== undefined) endOf[start] = i;
    }
  }
  if (open.length > 0)
    throw new GuestImageError('malformed', 'a function body has a block that is never closed');
  return { endOf, elseOf };
}

/** Writes an instruction with the number that follows its opcode replaced (call, ref.func, br and their like). */
export function writeWithIndex(out: ByteWriter, op: number, index: number): void {
  writeOpcode(out, op);
  out.u32(index);
}

export function writeOpcode(out: ByteWriter, op: number): void {
  if (op < 0x100) out.byte(op);
  else out.byte(op >>> 8).u32(op & 0xff);
}

/** Writes a load or store: opcode, alignment exponent, offset. */
export function writeMemory(out: ByteWriter, op: number, alignLog2: number, offset: number): void {
  writeOpcode(out, op);
  out.u32(alignLog2).u32(offset);
}
