/**
 * Random guest programs, as core modules of the guest world. Structured bodies with everything that the rewriter
 * treats specially: nested loops of several shapes, branches in and out of them, tables of branches, calls, recursion,
 * indirect calls, stores of every width and kind, bulk memory, memory growth, globals of every type, a start function.
 *
 * Every loop counts down a counter of its own and a fuel that all share, so every program ends. Addresses are masked
 * into the first 128 KiB, so no program traps.
 */
import { CodeWriter, EMPTY_BLOCK } from '../../src/guest/rewrite/code-writer.js';
import { encodeModule } from '../../src/guest/wasm/encode-module.js';
import { OP } from '../../src/guest/wasm/opcodes.js';
import { EXTERNAL_KIND, internType, VALUE_TYPE, type WasmModule } from '../../src/guest/wasm/wasm-module.js';
import { MACHINE_FUNCTIONS, MACHINE_MODULE } from '../../src/guest/world.js';
import type { Random } from '../../src/hardware/clock.js';

const { i32, i64, f32, f64, v128 } = VALUE_TYPE;

/** Memory that programs write, and the pages they start with. */
export const PROGRAM_BYTES = 128 * 1024;
const START_PAGES = 3;
const ADDRESS_MASK = PROGRAM_BYTES - 1;
const FUEL = 600;
const FUNCTIONS = 4;
const IMPORTS = ['pci-read', 'wait-for-interrupt', 'bar-write', 'clock-ns'];
const MAX_DEPTH = 4;

/** Locals of every generated function; parameter 0 is an i32, parameter 1 how deep it may still call. */
const LOCALS = [
  { count: 4, valueType: i32 },
  { count: 2, valueType: i64 },
  { count: 1, valueType: f32 },
  { count: 1, valueType: f64 },
  { count: 2, valueType: v128 },
];
const PARAM = 0;
const CALL_DEPTH = 1;
const FIRST_I32 = 2;
const FIRST_I64 = 6;
const F32 = 8;
const F64 = 9;
const FIRST_V128 = 10;
const FIRST_COUNTER = 12;

const GLOBAL = { fuel: 0, i32: 1, i64: 2, f32: 3, f64: 4 } as const;

export function randomProgram(random: Random): Uint8Array {
  const module: WasmModule = {
    types: [],
    imports: [],
    functions: [],
    tables: [{ elementType: VALUE_TYPE.funcref, limits: { min: FUNCTIONS, max: FUNCTIONS, shared: false } }],
    memories: [{ min: START_PAGES, max: 40, shared: false }],
    globals: [
      { type: { valueType: i32, mutable: true }, init: new CodeWriter().i32(FUEL).end().finish() },
      { type: { valueType: i32, mutable: true }, init: new CodeWriter().i32(7).end().finish() },
      { type: { valueType: i64, mutable: true }, init: Uint8Array.of(OP.i64Const, 5, OP.end) },
      { type: { valueType: f32, mutable: true }, init: Uint8Array.of(OP.f32Const, 0, 0, 0x80, 0x3f, OP.end) },
      {
        type: { valueType: f64, mutable: true },
        init: Uint8Array.of(OP.f64Const, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, OP.end),
      },
    ],
    exports: [],
    start: null,
    elements: [],
    hasDataCount: true,
    bodies: [],
    data: [
      { offset: new CodeWriter().i32(1000).end().finish(), bytes: bytesOf(random, 3000) },
      { offset: null, bytes: bytesOf(random, 6000) },
    ],
  };
  for (const field of IMPORTS) {
    const { params, results } = MACHINE_FUNCTIONS[field];
    const typeIndex = internType(module, params, results);
    module.imports.push({ module: MACHINE_MODULE, field, description: { kind: 'function', typeIndex } });
  }
  const first = IMPORTS.length;
  const callee = internType(module, [i32, i32], [i32]);
  for (let f = 0; f < FUNCTIONS; f++) {
    module.functions.push(callee);
    module.bodies.push(new BodyGenerator(random, module, first, callee).generate());
  }
  const run = addRun(module, first);
  module.start = addStart(module, random, first);
  const functions = Array.from({ length: FUNCTIONS }, (_, f) => first + f);
  const offset = new CodeWriter().i32(0).end().finish();
  module.elements = [{ flags: 0, tableIndex: 0, offset, elementKind: 0, functions, expressions: [] }];
  module.exports = [
    { name: 'run', kind: EXTERNAL_KIND.function, index: run },
    { name: 'memory', kind: EXTERNAL_KIND.memory, index: 0 },
    ...Object.values(GLOBAL).map((index) => ({ name: `g${index}`, kind: EXTERNAL_KIND.global, index })),
  ];
  return encodeModule(module);
}

function bytesOf(random: Random, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => random.nextU32() & 0xff);
}

/** Calls every function, mixes what they return. */
function addRun(module: WasmModule, first: number): number {
  const out = new CodeWriter();
  out.i32(1);
  for (let f = 0; f < FUNCTIONS; f++)
    out
      .i32(f * 77)
      .i32(MAX_DEPTH)
      .call(first + f)
      .i32(31)
      .op(OP.i32Mul)
      .op(OP.i32Add);
  module.functions.push(internType(module, [], [i32]));
  module.bodies.push({ locals: [], code: out.end().finish() });
  return first + module.functions.length - 1;
}

/** Counts how often it ran (in memory) and calls a function: it must be stoppable too. */
function addStart(module: WasmModule, random: Random, first: number): number {
  const out = new CodeWriter();
  out.i32(64).i32(64).memory(OP.i32Load, 2, 0).i32(1).op(OP.i32Add).memory(OP.i32Store, 2, 0);
  out
    .i32(3)
    .i32(1)
    .call(first + (random.nextU32() % FUNCTIONS))
    .op(OP.drop)
    .end();
  module.functions.push(internType(module, [], []));
  module.bodies.push({ locals: [], code: out.finish() });
  return first + module.functions.length - 1;
}

class BodyGenerator {
  readonly #random: Random;
  readonly #module: WasmModule;
  readonly #firstFunction: number;
  readonly #calleeType: number;
  readonly #out = new CodeWriter();
  /** Open labels, innermost last: how many values a branch to it carries, and whether it is a loop. */
  readonly #labels: { readonly arity: number; readonly loop: boolean }[] = [];
  #counters = 0;
  #statements = 0;

  constructor(random: Random, module: WasmModule, firstFunction: number, calleeType: number) {
    this.#random = random;
    this.#module = module;
    this.#firstFunction = firstFunction;
    this.#calleeType = calleeType;
  }

  generate(): WasmModule['bodies'][number] {
    this.#block(0);
    this.#i32Value(0);
    this.#out.end();
    const counters = { count: this.#counters, valueType: i32 };
    return { locals: [...LOCALS, ...(this.#counters > 0 ? [counters] : [])], code: this.#out.finish() };
  }

  #pick(below: number): number {
    return this.#random.nextU32() % below;
  }

  #block(depth: number): void {
    const count = 1 + this.#pick(depth === 0 ? 6 : 4);
    for (let i = 0; i < count; i++) this.#statement(depth);
  }

  #statement(depth: number): void {
    this.#statements++;
    const simple = depth >= 4 || this.#statements > 60;
    const kind = simple ? this.#pick(9) : this.#pick(16);
    switch (kind) {
      case 0:
        this.#i32Value(0);
        this.#out.set(FIRST_I32 + this.#pick(4));
        break;
      case 1:
        this.#store();
        break;
      case 2:
        this.#storeGroup();
        break;
      case 3:
        this.#bulk();
        break;
      case 4:
        this.#atomic();
        break;
      case 5:
        this.#vectorStore();
        break;
      case 6:
        this.#setGlobal();
        break;
      case 7:
        this.#otherLocals();
        break;
      case 8:
        this.#branchOut();
        break;
      case 9:
        this.#call();
        break;
      case 10:
        this.#if(depth);
        break;
      case 11:
        this.#switch(depth);
        break;
      case 12:
        this.#machineCall();
        break;
      case 13:
        this.#countedLoop(depth);
        break;
      default:
        this.#loop(depth);
    }
  }

  #address(): void {
    this.#i32Value(1);
    this.#out.i32(ADDRESS_MASK).op(OP.i32And);
  }

  /** Every store from i32.store to i64.store32, not aligned, with an offset; often across a page's end. */
  #store(): void {
    const out = this.#out;
    const index = this.#pick(9);
    if (this.#pick(2) === 0) out.i32((1 + this.#pick(20)) * 4096 - 1 - this.#pick(8));
    else this.#address();
    const type = [i32, i64, f32, f64, i32, i32, i64, i64, i64][index];
    this.#value(type);
    out.memory(OP.i32Store + index, 0, this.#pick(3) * 4093);
  }

  /** Stores through one local at several offsets, the local moved in between now and then. */
  #storeGroup(): void {
    const out = this.#out;
    const base = FIRST_I32 + this.#pick(4);
    if (this.#pick(2) === 0) out.i32((1 + this.#pick(20)) * 4096 - this.#pick(40)).set(base);
    else {
      this.#address();
      out.set(base);
    }
    for (let n = 2 + this.#pick(4); n > 0; n--) {
      const index = this.#pick(9);
      const type = [i32, i64, f32, f64, i32, i32, i64, i64, i64][index];
      out.get(base);
      this.#value(type);
      if (this.#pick(6) === 0)
        out.get(base).i32(5000).op(OP.i32Add).i32(ADDRESS_MASK).op(OP.i32And).set(base);
      out.memory(OP.i32Store + index, 0, this.#pick(4) === 0 ? this.#pick(9000) : this.#pick(40));
    }
  }

  #vectorStore(): void {
    const out = this.#out;
    const lane = this.#pick(5);
    if (this.#pick(2) === 0) out.i32((1 + this.#pick(20)) * 4096 - 1 - this.#pick(16));
    else this.#address();
    this.#value(v128);
    if (lane === 4) out.memory(OP.v128Store, 0, this.#pick(64));
    else out.memory(OP.v128Store8Lane + lane, 0, this.#pick(64)).byte(this.#pick(16 >> lane));
  }

  #bulk(): void {
    const out = this.#out;
    this.#address();
    switch (this.#pick(3)) {
      case 0:
        this.#i32Value(1);
        this.#count(20000);
        out.op(OP.memoryFill).byte(0);
        break;
      case 1:
        this.#address();
        this.#count(20000);
        out.op(OP.memoryCopy).byte(0).byte(0);
        break;
      default:
        out.i32(this.#pick(3000));
        this.#count(3000);
        out.op(OP.memoryInit).u32(1).byte(0);
    }
  }

  /** A count below a limit; often zero, one or a page. */
  #count(limit: number): void {
    const usual = [0, 1, 4096, 4097, limit - 1];
    if (this.#pick(3) === 0) this.#out.i32(Math.min(usual[this.#pick(5)], limit - 1));
    else {
      this.#i32Value(1);
      this.#out.i32(limit).op(OP.i32RemU);
    }
  }

  #atomic(): void {
    const out = this.#out;
    const width = this.#pick(7);
    const [alignLog2, type] = [
      [2, i32],
      [3, i64],
      [0, i32],
      [1, i32],
      [0, i64],
      [1, i64],
      [2, i64],
    ][width];
    this.#i32Value(1);
    out.i32(ADDRESS_MASK & ~7).op(OP.i32And);
    this.#value(type);
    const group = this.#pick(8);
    const offset = this.#pick(4) * 8;
    if (group === 7) {
      out.memory(OP.i32AtomicStore + width, alignLog2, offset);
      return;
    }
    if (group === 6) this.#value(type);
    out.memory(0xfe1e + group * 7 + width, alignLog2, offset);
    if (type === i32) out.set(FIRST_I32);
    else out.set(FIRST_I64);
  }

  #setGlobal(): void {
    const [index, type] = [
      [GLOBAL.i32, i32],
      [GLOBAL.i64, i64],
      [GLOBAL.f32, f32],
      [GLOBAL.f64, f64],
    ][this.#pick(4)];
    this.#value(type);
    this.#out.byte(OP.globalSet).u32(index);
  }

  #otherLocals(): void {
    const [local, type] = [
      [FIRST_I64 + this.#pick(2), i64],
      [F32, f32],
      [F64, f64],
      [FIRST_V128 + this.#pick(2), v128],
    ][this.#pick(4)];
    this.#value(type);
    this.#out.set(local);
  }

  /** Leaves, or goes round again, through any label that is open. */
  #branchOut(): void {
    if (this.#labels.length === 0) return;
    const out = this.#out;
    const depth = this.#pick(this.#labels.length);
    const { arity } = this.#labels[this.#labels.length - 1 - depth];
    this.#condition();
    out.open(OP.if);
    if (arity === 1) this.#i32Value(1);
    out.br(depth + 1);
    out.end();
  }

  #if(depth: number): void {
    const out = this.#out;
    this.#condition();
    out.open(OP.if);
    this.#labels.push({ arity: 0, loop: false });
    this.#block(depth + 1);
    if (this.#pick(2) === 0) {
      out.op(OP.else);
      this.#block(depth + 1);
    }
    this.#labels.pop();
    out.end();
  }

  /** br_table over two blocks of its own and whatever loop is round it. */
  #switch(depth: number): void {
    const out = this.#out;
    out.open(OP.block).open(OP.block);
    this.#labels.push({ arity: 0, loop: false }, { arity: 0, loop: false });
    const plain = [0, 1];
    this.#labels.forEach((label, i) => {
      if (label.arity === 0) plain.push(this.#labels.length - 1 - i);
    });
    this.#i32Value(1);
    out.i32(7).op(OP.i32And).op(OP.brTable).u32(3);
    for (let i = 0; i < 4; i++) out.u32(plain[this.#pick(plain.length)]);
    this.#labels.pop();
    out.end();
    this.#block(depth + 1);
    this.#labels.pop();
    out.end();
  }

  /** A call of any function of the program, itself included, directly or through the table. */
  #call(): void {
    const out = this.#out;
    out.get(CALL_DEPTH).i32(0).byte(OP.globalGet).u32(GLOBAL.fuel).op(OP.select).open(OP.if);
    this.#burnFuel();
    this.#i32Value(1);
    out.get(CALL_DEPTH).i32(1).op(OP.i32Sub);
    if (this.#pick(3) === 0) {
      this.#i32Value(1);
      out
        .i32(FUNCTIONS - 1)
        .op(OP.i32And)
        .op(OP.callIndirect)
        .u32(this.#calleeType)
        .u32(0);
    } else out.call(this.#firstFunction + this.#pick(FUNCTIONS));
    out.set(FIRST_I32 + this.#pick(4)).end();
  }

  #machineCall(): void {
    const out = this.#out;
    switch (this.#pick(4)) {
      case 0:
        this.#i32Value(1);
        this.#i32Value(1);
        out.call(0).set(FIRST_I32 + this.#pick(4));
        break;
      case 1:
        // with a value below it on the stack
        this.#i32Value(1);
        out
          .i32(0)
          .call(1)
          .op(OP.i32Add)
          .set(FIRST_I32 + this.#pick(4));
        break;
      case 2:
        for (let i = 0; i < 4; i++) this.#i32Value(1);
        out.call(2);
        break;
      default:
        out.call(3).set(FIRST_I64);
    }
  }

  /** Counts its own counter and the fuel down; leaves when either is used up. Of several shapes. */
  #loop(depth: number): void {
    const out = this.#out;
    const counter = FIRST_COUNTER + this.#counters++;
    out.i32(1 + this.#pick(9)).set(counter);
    const shape = this.#pick(3);
    out.open(OP.block);
    this.#labels.push({ arity: 0, loop: false });
    // shape 0 and 1: a loop that leaves no value, or one; shape 2: one with a parameter and a result
    if (shape === 2) this.#i32Value(1);
    const parameterType = shape === 2 ? internType(this.#module, [i32], [i32]) : 0;
    out.open(OP.loop, [EMPTY_BLOCK, -1, parameterType][shape]);
    this.#labels.push({ arity: shape === 2 ? 1 : 0, loop: true });
    if (shape === 2) out.set(FIRST_I32);
    out.byte(OP.globalGet).u32(GLOBAL.fuel).op(OP.i32Eqz).brIf(1);
    this.#burnFuel();
    out.get(counter).op(OP.i32Eqz).brIf(1);
    out.get(counter).i32(1).op(OP.i32Sub).set(counter);
    this.#block(depth + 1);
    if (this.#pick(3) > 0) {
      if (shape === 2) this.#i32Value(1);
      this.#condition();
      out.brIf(0);
      if (shape === 2) out.op(OP.drop);
    }
    if (shape > 0) this.#i32Value(1);
    this.#labels.pop();
    out.end();
    if (shape > 0) out.set(FIRST_I32 + 1);
    this.#labels.pop();
    out.end();
  }

  /** i = 0; while (i < n) { ...; i += c }: what needs no poll when n is small. */
  #countedLoop(depth: number): void {
    const out = this.#out;
    const counter = FIRST_COUNTER + this.#counters++;
    out.i32(0).set(counter).open(OP.block).open(OP.loop);
    this.#labels.push({ arity: 0, loop: false }, { arity: 0, loop: false });
    out
      .get(counter)
      .i32(1 + this.#pick(6))
      .op(OP.i32LtU)
      .op(OP.i32Eqz)
      .brIf(1);
    out.byte(OP.globalGet).u32(GLOBAL.fuel).op(OP.i32Eqz).brIf(1);
    this.#burnFuel();
    // a continue from inside the body skips the step at its end; the fuel still ends the loop
    this.#block(depth + 1);
    out
      .get(counter)
      .i32(1 + this.#pick(2))
      .op(OP.i32Add)
      .set(counter)
      .br(0);
    this.#labels.pop();
    out.end();
    this.#labels.pop();
    out.end();
  }

  #burnFuel(): void {
    const out = this.#out;
    out.byte(OP.globalGet).u32(GLOBAL.fuel).i32(1).op(OP.i32Sub).byte(OP.globalSet).u32(GLOBAL.fuel);
  }

  #condition(): void {
    this.#i32Value(1);
    this.#out.i32(this.#pick(2) === 0 ? 1 : 3).op(OP.i32And);
  }

  #value(type: number): void {
    const out = this.#out;
    switch (type) {
      case i64:
        out.get(FIRST_I64 + this.#pick(2));
        this.#i32Value(1);
        out.byte(0xad).byte(0x7c); // i64.extend_i32_u, i64.add
        break;
      case f32:
        out.get(F32);
        this.#i32Value(1);
        out.byte(0xb2).byte(0x92); // f32.convert_i32_s, f32.add
        break;
      case f64:
        out.get(F64);
        this.#i32Value(1);
        out.byte(0xb7).byte(0xa0); // f64.convert_i32_s, f64.add
        break;
      case v128:
        out.get(FIRST_V128 + this.#pick(2));
        this.#i32Value(1);
        out.op(0xfd11).op(0xfdae); // i32x4.splat, i32x4.add
        break;
      default:
        this.#i32Value(0);
    }
  }

  #i32Value(depth: number): void {
    const out = this.#out;
    switch (this.#pick(depth > 2 ? 3 : 8)) {
      case 0:
        out.i32(this.#random.nextU32() & 0x3ffff);
        break;
      case 1:
        out.get(PARAM);
        break;
      case 2:
        out.get(FIRST_I32 + this.#pick(4));
        break;
      case 3:
        this.#i32Value(depth + 1);
        out
          .i32(ADDRESS_MASK)
          .op(OP.i32And)
          .memory(0x28 + [0, 4, 5, 6, 7][this.#pick(5)], 0, this.#pick(100));
        break;
      case 4:
        out.byte(OP.globalGet).u32(GLOBAL.i32);
        break;
      case 5:
        out.op(OP.memorySize).byte(0);
        break;
      case 6:
        if (this.#pick(4) === 0) out.i32(this.#pick(12)).op(OP.memoryGrow).byte(0);
        else out.get(FIRST_I64).byte(0xa7); // i32.wrap_i64
        break;
      default:
        this.#i32Value(depth + 1);
        this.#i32Value(depth + 1);
        out.op([OP.i32Add, OP.i32Sub, OP.i32Mul, OP.i32Xor, OP.i32LtU, OP.i32ShrU][this.#pick(6)]);
    }
  }
}
