/**
 * Reads the expression that ends at an instruction backwards, out of postfix code: enough of WebAssembly to see through
 * address and counter arithmetic. What it does not know is `unknown`, which promises nothing.
 */
import type { Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';

export type Expression =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'local'; readonly index: number }
  | { readonly kind: 'tee'; readonly index: number; readonly value: Expression }
  | { readonly kind: 'operation'; readonly op: number; readonly operands: readonly Expression[] }
  | { readonly kind: 'call'; readonly callee: number }
  | { readonly kind: 'unknown' };

export interface ParsedExpression {
  readonly expression: Expression;
  /** Index of its first instruction; -1 when that is not known, and nothing before it can be read. */
  readonly start: number;
}

const UNKNOWN: ParsedExpression = { expression: { kind: 'unknown' }, start: -1 };
const MAX_DEPTH = 12;

/** Numeric opcodes that take one value; the rest of 0x45..0xbf takes two. Pairs of first and last. */
const UNARY: readonly (readonly [number, number])[] = [
  [0x45, 0x45], // i32.eqz
  [0x50, 0x50], // i64.eqz
  [0x67, 0x69], // i32.clz .. popcnt
  [0x79, 0x7b], // i64.clz .. popcnt
  [0x8b, 0x91], // f32.abs .. sqrt
  [0x99, 0x9f], // f64.abs .. sqrt
  [0xa7, 0xc4], // conversions, sign extensions
];

/** How many values an operation takes that gives one; 0 for what is not known. */
function operandCount(op: number): number {
  if (op >= OP.i32Eqz && op <= 0xc4) return UNARY.some(([first, last]) => op >= first && op <= last) ? 1 : 2;
  if (op >= OP.i32Load && op <= OP.i64Load32U) return 1;
  if (op >= 0xfc00 && op <= 0xfc07) return 1; // saturating conversions
  if (op === OP.select) return 3;
  return 0;
}

/** How many parameters a call takes that gives one value; null for any other call. */
export type ParameterCount = (callee: number) => number | null;

/** The expression whose last instruction is at `end`. */
export function expressionEndingAt(
  body: readonly Instruction[],
  end: number,
  parameters: ParameterCount,
  depth = 0,
): ParsedExpression {
  const instruction = body[end];
  if (instruction === undefined || depth > MAX_DEPTH) return UNKNOWN;
  const { op, a } = instruction;
  switch (op) {
    case OP.i32Const:
      return { expression: { kind: 'constant', value: a | 0 }, start: end };
    case OP.localGet:
      return { expression: { kind: 'local', index: a }, start: end };
    case OP.memorySize:
      return { expression: { kind: 'operation', op, operands: [] }, start: end };
    case OP.globalGet:
    case OP.i64Const:
    case OP.f32Const:
    case OP.f64Const:
      return { expression: { kind: 'unknown' }, start: end };
    case OP.localTee: {
      const value = expressionEndingAt(body, end - 1, parameters, depth + 1);
      return { expression: { kind: 'tee', index: a, value: value.expression }, start: value.start };
    }
    case OP.call: {
      const count = parameters(a);
      const { start } = count === null ? UNKNOWN : operandsEndingAt(body, end - 1, count, parameters, depth);
      return { expression: { kind: 'call', callee: a }, start };
    }
  }
  const count = operandCount(op);
  if (count === 0) return UNKNOWN;
  const { operands, start } = operandsEndingAt(body, end - 1, count, parameters, depth);
  return { expression: { kind: 'operation', op, operands }, start };
}

/** The last `count` expressions up to `end`, first one first. */
export function operandsEndingAt(
  body: readonly Instruction[],
  end: number,
  count: number,
  parameters: ParameterCount,
  depth = 0,
): { readonly operands: readonly Expression[]; readonly start: number } {
  const operands: Expression[] = [];
  let start = end + 1;
  for (let i = 0; i < count; i++) {
    const parsed = start < 0 ? UNKNOWN : expressionEndingAt(body, start - 1, parameters, depth + 1);
    operands.unshift(parsed.expression);
    start = parsed.start;
  }
  return { operands, start };
}
