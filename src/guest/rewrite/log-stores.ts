/**
 * The logging build: after every store, a byte in the dirty log for each 4 KiB page that the store touched.
 *
 *   [address value]  ->  set value; tee address; get value; STORE; mark(address + offset)
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
import { storeOf } from './store-table.js';

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

class BodyLogger {
  rangeUsed = false;
  readonly #body: FunctionBody;
  readonly #logOffset: number;
  readonly #markRange: number;
  readonly #out = new CodeWriter();
  readonly #added: { count: number; valueType: number }[] = [];
  readonly #scratch = new Map<string, number>();
  #nextLocal: number;

  constructor(body: FunctionBody, paramCount: number, logOffset: number, markRange: number) {
    this.#body = body;
    this.#logOffset = logOffset;
    this.#markRange = markRange;
    this.#nextLocal = paramCount + body.locals.reduce((sum, group) => sum + group.count, 0);
  }

  rewrite(): FunctionBody {
    const { code } = this.#body;
    for (const instruction of decodeBody(code)) {
      if (!this.#emitLogged(instruction)) this.#out.raw(code.subarray(instruction.at, instruction.end));
    }
    return { locals: [...this.#body.locals, ...this.#added], code: this.#out.finish() };
  }

  /** False when the instruction writes no memory. */
  #emitLogged(instruction: Instruction): boolean {
    const { op } = instruction;
    if (op === OP.memoryFill || op === OP.memoryCopy || op === OP.memoryInit) {
      this.#emitRange(instruction);
      return true;
    }
    const store = storeOf(op);
    if (store === null) return false;
    const out = this.#out;
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
    out.get(destination).get(count).call(this.#markRange);
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

/** (destination, count): marks every page of [destination, destination + count). */
function markRangeBody(logOffset: number): FunctionBody {
  const destination = 0;
  const count = 1;
  const first = 2;
  const last = 3;
  const out = new CodeWriter();
  out.get(count).op(OP.i32Eqz).open(OP.if).op(OP.return).end();
  out.get(destination).i32(PAGE_SHIFT).op(OP.i32ShrU).set(first);
  out.get(destination).get(count).op(OP.i32Add).i32(1).op(OP.i32Sub).i32(PAGE_SHIFT).op(OP.i32ShrU).set(last);
  out.get(first).i32(1).memory(OP.i32Store8, 0, logOffset);
  out.get(count).i32(PAGE_BYTES).op(OP.i32GtU).open(OP.if);
  out.get(first).i32(logOffset).op(OP.i32Add).i32(1);
  out.get(last).get(first).op(OP.i32Sub).op(OP.memoryFill).byte(0);
  out.end();
  out.get(last).i32(1).memory(OP.i32Store8, 0, logOffset).end();
  return { locals: [{ count: 2, valueType: i32 }], code: out.finish() };
}
