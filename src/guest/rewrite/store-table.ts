/**
 * Every instruction that writes memory through one address: how many bytes, and which operands lie above the address.
 */
import { OP } from '../wasm/opcodes.js';
import { VALUE_TYPE } from '../wasm/wasm-module.js';

export interface StoreShape {
  readonly bytes: number;
  /** Value types above the address, bottom first. */
  readonly operands: readonly number[];
  /** Traps unless aligned, so it never crosses a page. */
  readonly aligned: boolean;
}

const { i32, i64, f32, f64, v128 } = VALUE_TYPE;

const STORES = new Map<number, StoreShape>();

function add(op: number, bytes: number, operands: readonly number[], aligned = false): void {
  STORES.set(op, { bytes, operands, aligned });
}

// i32.store .. i64.store32 in the order of their opcodes
[
  [4, i32],
  [8, i64],
  [4, f32],
  [8, f64],
  [1, i32],
  [2, i32],
  [1, i64],
  [2, i64],
  [4, i64],
].forEach(([bytes, type], i) => {
  add(OP.i32Store + i, bytes, [type]);
});

add(OP.v128Store, 16, [v128]);
for (let lane = 0; lane < 4; lane++) add(OP.v128Store8Lane + lane, 1 << lane, [v128]);

// atomic stores and read-modify-writes come in groups of seven widths, load first
const ATOMIC_WIDTHS = [
  [4, i32],
  [8, i64],
  [1, i32],
  [2, i32],
  [1, i64],
  [2, i64],
  [4, i64],
];
const FIRST_RMW = 0xfe1e;
const RMW_GROUPS = 6; // add, sub, and, or, xor, xchg
ATOMIC_WIDTHS.forEach(([bytes, type], i) => {
  add(OP.i32AtomicStore + i, bytes, [type], true);
  for (let group = 0; group < RMW_GROUPS; group++) add(FIRST_RMW + group * 7 + i, bytes, [type], true);
  add(FIRST_RMW + RMW_GROUPS * 7 + i, bytes, [type, type], true); // cmpxchg: expected, replacement
});

/** Null for an instruction that writes no memory through an address (bulk operations are not in this table). */
export function storeOf(op: number): StoreShape | null {
  return STORES.get(op) ?? null;
}
