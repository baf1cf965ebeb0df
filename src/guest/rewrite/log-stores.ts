/**
 * The logging build: after every store, a byte in the dirty log for each 4 KiB page that the store touched.
 *
 *   [address value]  ->  set value; tee address; get value; STORE; mark(address + offset)
 *
 * Stores through one and the same local, with nothing but straight code between them (a descriptor's words, a header's
 * fields), share their marks: the first and the last byte's pages, after the last of them.
 *
 * The mark comes after the store. A page that is marked first could be harvested and copied between the mark and the
 * store, and that store would be lost. It also means that an out-of-range address has trapped before it is marked.
 * Runs after Asyncify, so that both builds have the same frames; Asyncify's own stores are logged too and lie in the
 * VMM area, where nobody looks.
 */
import { PAGE_BYTES, PAGE_SHIFT } from '../../hardware/units.js';
import { decodeBody, type Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import {
  type FunctionBody,
  functionType,
  importedFunctionCount,
  internType,
  VALUE_TYPE,
  type WasmModule,
} from '../wasm/wasm-module.js';
import { CodeWriter } from './code-writer.js';
import { operandsEndingAt } from './expressions.js';
import { type StoreShape, storeOf } from './store-table.js';

const { i32 } = VALUE_TYPE;

/** Changes `module` in place. @param logOffset where the log begins: one byte per page of the whole memory. */
export function logStores(module: WasmModule, logOffset: number): void {
  const imported = importedFunctionCount(module);
  const markRange = imported + module.functions.length;
  let rangeUsed = false;
  module.bodies = module.bodies.map((body, i) => {
    const params = functionType(module, imported + i)?.params.length ?? 0;
    const logger = new BodyLogger(body, params, logOffset, markRange);
    const rewritten = logger.rewrite();
    rangeUsed ||= logger.rangeUsed;
    return rewritten;
  });
  if (!rangeUsed) return;
  module.functions.push(internType(module, [i32, i32], []));
  module.bodies.push(markRangeBody(logOffset));
}

/** Stores at [local + start, local + end). */
interface StoreGroup {
  readonly local: number;
  readonly start: number;
  readonly end: number;
  readonly stores: number;
  readonly aligned: boolean;
}

/** A call among a store's operands is not looked through: it would end the group anyway. */
const unknownCalls = () => null;

class BodyLogger {
  rangeUsed = false;
  readonly #body: FunctionBody;
  readonly #logOffset: number;
  readonly #markRange: number;
  readonly #out = new CodeWriter();
  readonly #added: { count: number; valueType: number }[] = [];
  readonly #scratch = new Map<string, number>();
  readonly #instructions: readonly Instruction[];
  /** Stores made but not marked yet. */
  #group: StoreGroup | null = null;
  #nextLocal: number;

  constructor(body: FunctionBody, paramCount: number, logOffset: number, markRange: number) {
    this.#body = body;
    this.#instructions = decodeBody(body.code);
    this.#logOffset = logOffset;
    this.#markRange = markRange;
    this.#nextLocal = paramCount + body.locals.reduce((sum, group) => sum + group.count, 0);
  }

  rewrite(): FunctionBody {
    const { code } = this.#body;
    this.#instructions.forEach((instruction, index) => {
      if (this.#endsGroup(instruction)) this.#flushGroup();
      if (!this.#emitLogged(instruction, index))
        this.#out.raw(code.subarray(instruction.at, instruction.end));
    });
    return { locals: [...this.#body.locals, ...this.#added], code: this.#out.finish() };
  }

  /** Whether control may leave the straight line here, or the group's address changes. */
  #endsGroup({ op, a }: Instruction): boolean {
    if (this.#group === null) return false;
    if (op === OP.localSet || op === OP.localTee) return a === this.#group.local;
    return op <= OP.callIndirect && op !== OP.nop;
  }

  #flushGroup(): void {
    const group = this.#group;
    if (group === null) return;
    this.#group = null;
    const bytes = group.end - group.start;
    if (group.stores === 1) this.#mark(group.local, group.start, bytes, group.aligned);
    else {
      this.#mark(group.local, group.start, 1, true);
      this.#mark(group.local, group.end - 1, 1, true);
    }
  }

  /** True when the store was made part of a group: its address is a local as it stands. */
  #joinGroup(instruction: Instruction, index: number, store: StoreShape): boolean {
    const local = this.#addressLocal(index, store.operands.length);
    if (local === null) return false;
    const start = instruction.a;
    const end = start + store.bytes;
    const group = this.#group;
    if (group !== null && group.local === local) {
      const joined = { start: Math.min(group.start, start), end: Math.max(group.end, end) };
      // two marks cover no more than two pages
      if (joined.end - joined.start <= PAGE_BYTES) {
        this.#group = { ...joined, local, stores: group.stores + 1, aligned: false };
        return true;
      }
    }
    this.#flushGroup();
    this.#group = { local, start, end, stores: 1, aligned: store.aligned };
    return true;
  }

  /** The local that holds a store's address from before its operands until after it; null when there is none. */
  #addressLocal(index: number, operandCount: number): number | null {
    const { start } = operandsEndingAt(this.#instructions, index - 1, operandCount, unknownCalls);
    const address = this.#instructions[start - 1];
    if (start < 1 || (address.op !== OP.localGet && address.op !== OP.localTee)) return null;
    for (let i = start; i < index; i++) {
      const { op, a } = this.#instructions[i];
      if ((op === OP.localSet || op === OP.localTee) && a === address.a) return null;
    }
    return address.a;
  }

  /** False when the instruction writes no memory. */
  #emitLogged(instruction: Instruction, index: number): boolean {
    const { op } = instruction;
    if (op === OP.memoryFill || op === OP.memoryCopy || op === OP.memoryInit) {
      this.#emitRange(instruction);
      return true;
    }
    const store = storeOf(op);
    if (store === null) return false;
    const out = this.#out;
    if (this.#joinGroup(instruction, index, store)) {
      out.raw(this.#body.code.subarray(instruction.at, instruction.end));
      return true;
    }
    const address = this.#local('address', i32);
    const operands = store.operands.map((type, i) => this.#local(`operand${i}`, type));
    for (const local of operands.toReversed()) out.set(local);
    out.tee(address);
    for (const local of operands) out.get(local);
    out.raw(this.#body.code.subarray(instruction.at, instruction.end));
    this.#mark(address, instruction.a, store.bytes, store.aligned);
    return true;
  }

  #mark(address: number, offset: number, bytes: number, aligned: boolean): void {
    const out = this.#out;
    let start = address;
    out.get(address);
    if (offset !== 0) {
      start = this.#local('start', i32);
      out.i32(offset).op(OP.i32Add).tee(start);
    }
    out.i32(PAGE_SHIFT).op(OP.i32ShrU).i32(1).memory(OP.i32Store8, 0, this.#logOffset);
    if (aligned || bytes === 1) return;
    // only a store that is not aligned can cross into the next page: the common case costs one test
    out
      .get(start)
      .i32(bytes - 1)
      .op(OP.i32And)
      .open(OP.if);
    out
      .get(start)
      .i32(bytes - 1)
      .op(OP.i32Add);
    out.i32(PAGE_SHIFT).op(OP.i32ShrU).i32(1).memory(OP.i32Store8, 0, this.#logOffset).end();
  }

  /** memory.fill, memory.copy, memory.init: [destination, x, count]. */
  #emitRange(instruction: Instruction): void {
    const out = this.#out;
    const destination = this.#local('address', i32);
    const operand = this.#local('operand0', i32);
    const count = this.#local('count', i32);
    out.set(count).set(operand).tee(destination).get(operand).get(count);
    out.raw(this.#body.code.subarray(instruction.at, instruction.end));
    const first = this.#local('first', i32);
    const last = this.#local('last', i32);
    out.get(count).open(OP.if);
    out
      .get(destination)
      .i32(PAGE_SHIFT)
      .op(OP.i32ShrU)
      .tee(first)
      .i32(1)
      .memory(OP.i32Store8, 0, this.#logOffset);
    out
      .get(destination)
      .get(count)
      .op(OP.i32Add)
      .i32(1)
      .op(OP.i32Sub)
      .i32(PAGE_SHIFT)
      .op(OP.i32ShrU)
      .tee(last);
    out.get(first).op(OP.i32Ne).open(OP.if).get(first).get(last).call(this.#markRange).end();
    out.end();
    this.rangeUsed = true;
  }

  #local(role: string, valueType: number): number {
    const key = `${role}:${valueType}`;
    let index = this.#scratch.get(key);
    if (index === undefined) {
      index = this.#nextLocal++;
      this.#added.push({ count: 1, valueType });
      this.#scratch.set(key, index);
    }
    return index;
  }
}

/** (first, last): marks the pages after the first one up to the last one. */
function markRangeBody(logOffset: number): FunctionBody {
  const first = 0;
  const last = 1;
  const out = new CodeWriter();
  out
    .get(first)
    .i32(logOffset + 1)
    .op(OP.i32Add)
    .i32(1);
  out.get(last).get(first).op(OP.i32Sub).op(OP.memoryFill).byte(0).end();
  return { locals: [], code: out.finish() };
}
