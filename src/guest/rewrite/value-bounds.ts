/**
 * What range each local variable and function result can have, over the whole program and without regard to order:
 * an interval of signed 32-bit numbers that holds every value ever assigned. A length read from 16 bits of memory stays
 * below 65,536 wherever it is passed, and a loop that counts up to it ends.
 *
 * Starts from "never assigned" and widens until nothing changes; what keeps growing becomes "anything".
 */
import { OP } from '../wasm/opcodes.js';
import { EXTERNAL_KIND, functionType, VALUE_TYPE, type WasmModule } from '../wasm/wasm-module.js';
import type { CallGraph } from './call-graph.js';
import { type Expression, expressionEndingAt, operandsEndingAt } from './expressions.js';

export interface Interval {
  readonly lo: number;
  readonly hi: number;
}

const MIN = -(2 ** 31);
const MAX = 2 ** 31 - 1;
export const ANYTHING: Interval = { lo: MIN, hi: MAX };
const ZERO: Interval = { lo: 0, hi: 0 };
/** A variable that is still growing after so many passes grows in a loop. */
const MAX_PASSES = 20;

/** `variable` is null while nothing was assigned. */
function join(variable: Interval | null, value: Interval | null): Interval | null {
  if (variable === null || value === null) return variable ?? value;
  return { lo: Math.min(variable.lo, value.lo), hi: Math.max(variable.hi, value.hi) };
}

/** An assignment `local = expression` somewhere in a body. */
export interface Definition {
  readonly at: number;
  readonly local: number;
  readonly value: Expression;
}

interface FunctionFacts {
  readonly definitions: readonly Definition[];
  /** Calls with their arguments. */
  readonly calls: readonly { readonly callee: number; readonly operands: readonly Expression[] }[];
  /** Values that the function may return; null when they were not found. */
  readonly results: readonly Expression[] | null;
}

export class ValueBounds {
  readonly #module: WasmModule;
  readonly #graph: CallGraph;
  readonly #facts: readonly FunctionFacts[];
  /** By defined function, then by local. */
  readonly #locals: (Interval | null)[][];
  readonly #results: (Interval | null)[];
  #changed = false;
  #widening = false;

  constructor(module: WasmModule, graph: CallGraph) {
    this.#module = module;
    this.#graph = graph;
    this.#facts = graph.bodies.map((_, f) => this.#gather(f));
    this.#locals = module.bodies.map((body, f) => {
      const { params } = functionType(module, graph.importedFunctions + f)!;
      const fromOutside = this.#calledFromOutside(f);
      return [
        ...params.map((): Interval | null => (fromOutside ? ANYTHING : null)),
        ...body.locals.flatMap((group) => Array.from({ length: group.count }, () => ZERO)),
      ];
    });
    this.#results = module.bodies.map(() => null);
    this.#solve();
  }

  readonly parameterCount = (callee: number): number | null => {
    const type = functionType(this.#module, callee);
    return type?.results.length === 1 ? type.params.length : null;
  };

  definitionsOf(f: number): readonly Definition[] {
    return this.#facts[f].definitions;
  }

  isParameter(f: number, local: number): boolean {
    return local < (functionType(this.#module, this.#graph.importedFunctions + f)?.params.length ?? 0);
  }

  local(f: number, index: number): Interval {
    return this.#locals[f][index] ?? ANYTHING;
  }

  /** Range of an expression in function `f`. */
  of(f: number, expression: Expression): Interval {
    return this.#eval(f, expression) ?? ANYTHING;
  }

  #calledFromOutside(f: number): boolean {
    const index = f + this.#graph.importedFunctions;
    return (
      this.#graph.addressTaken.has(index) ||
      this.#module.start === index ||
      this.#module.exports.some((entry) => entry.kind === EXTERNAL_KIND.function && entry.index === index)
    );
  }

  #gather(f: number): FunctionFacts {
    const body = this.#graph.bodies[f];
    const definitions: Definition[] = [];
    const calls: { callee: number; operands: readonly Expression[] }[] = [];
    const type = functionType(this.#module, this.#graph.importedFunctions + f)!;
    body.forEach(({ op, a }, at) => {
      if (op === OP.localSet || op === OP.localTee) {
        const { expression } = expressionEndingAt(body, at - 1, this.parameterCount);
        definitions.push({ at, local: a, value: expression });
      } else if (op === OP.call && a >= this.#graph.importedFunctions) {
        const count = functionType(this.#module, a)?.params.length ?? 0;
        const { operands } = operandsEndingAt(body, at - 1, count, this.parameterCount);
        calls.push({ callee: a, operands });
      }
    });
    const simple = type.results.length === 1 && type.results[0] === VALUE_TYPE.i32;
    return { definitions, calls, results: simple ? this.#returnedBy(f) : null };
  }

  /** The expressions before each return and before the end; null when a branch carries a result out of a block. */
  #returnedBy(f: number): Expression[] | null {
    const body = this.#graph.bodies[f];
    const found: Expression[] = [];
    let depth = 0;
    for (let at = 0; at < body.length; at++) {
      const { op, a, depths } = body[at];
      const out = op === OP.br || op === OP.brIf ? a === depth : op === OP.brTable && depths!.includes(depth);
      if (out) return null;
      if (op === OP.block || op === OP.loop || op === OP.if) depth++;
      const last = at === body.length - 1;
      if (op === OP.return || last)
        found.push(expressionEndingAt(body, at - 1, this.parameterCount).expression);
      if (op === OP.end) depth--;
    }
    return found;
  }

  #solve(): void {
    for (let pass = 0; ; pass++) {
      this.#changed = false;
      this.#widening = pass >= MAX_PASSES;
      this.#facts.forEach((facts, f) => {
        this.#pass(f, facts);
      });
      if (!this.#changed) return;
    }
  }

  #pass(f: number, facts: FunctionFacts): void {
    const locals = this.#locals[f];
    for (const { local, value } of facts.definitions) {
      locals[local] = this.#widened(locals[local], this.#eval(f, value));
    }
    for (const { callee, operands } of facts.calls) {
      const target = this.#locals[callee - this.#graph.importedFunctions];
      operands.forEach((operand, i) => {
        target[i] = this.#widened(target[i], this.#eval(f, operand));
      });
    }
    for (const value of facts.results ?? []) {
      this.#results[f] = this.#widened(this.#results[f], this.#eval(f, value));
    }
  }

  #widened(before: Interval | null, value: Interval | null): Interval | null {
    const after = join(before, value);
    if (after === null || (before !== null && after.lo === before.lo && after.hi === before.hi))
      return before;
    this.#changed = true;
    return this.#widening ? ANYTHING : after;
  }

  /** Null: nothing can have been computed here yet. */
  #eval(f: number, expression: Expression): Interval | null {
    switch (expression.kind) {
      case 'constant':
        return { lo: expression.value, hi: expression.value };
      case 'local':
        return this.#locals[f][expression.index] ?? null;
      case 'tee':
        return this.#eval(f, expression.value);
      case 'call': {
        const target = expression.callee - this.#graph.importedFunctions;
        if (target < 0 || this.#facts[target].results === null) return ANYTHING;
        return this.#results[target];
      }
      case 'operation': {
        const operands: Interval[] = [];
        for (const operand of expression.operands) {
          const value = this.#eval(f, operand);
          if (value === null) return null;
          operands.push(value);
        }
        return rangeOf(expression.op, operands);
      }
      case 'unknown':
        return ANYTHING;
    }
  }
}

function inRange(lo: number, hi: number): Interval {
  return lo < MIN || hi > MAX ? ANYTHING : { lo, hi };
}

function rangeOf(op: number, operands: readonly Interval[]): Interval {
  const [a, b, c] = operands;
  if (op >= OP.i32Eqz && op <= OP.i32GeU) return { lo: 0, hi: 1 };
  switch (op) {
    case OP.i32Load8U:
      return { lo: 0, hi: 0xff };
    case OP.i32Load16U:
      return { lo: 0, hi: 0xffff };
    case OP.i32Load8S:
    case OP.i32Extend8S:
      return { lo: -0x80, hi: 0x7f };
    case OP.i32Load16S:
    case OP.i32Extend16S:
      return { lo: -0x8000, hi: 0x7fff };
    case OP.memorySize:
      return { lo: 0, hi: 0x10000 };
    case OP.i32Clz:
    case OP.i32Ctz:
    case OP.i32Popcnt:
      return { lo: 0, hi: 32 };
    case OP.select:
      return c === undefined ? ANYTHING : join(a, b)!;
    case OP.i32Add:
      return inRange(a.lo + b.lo, a.hi + b.hi);
    case OP.i32Sub:
      return inRange(a.lo - b.hi, a.hi - b.lo);
    case OP.i32Mul:
      return a.lo >= 0 && b.lo >= 0 ? inRange(a.lo * b.lo, a.hi * b.hi) : ANYTHING;
    case OP.i32And:
      if (a.lo >= 0) return { lo: 0, hi: b.lo >= 0 ? Math.min(a.hi, b.hi) : a.hi };
      if (b.lo >= 0) return { lo: 0, hi: b.hi };
      // a mask like ~3 rounds down
      return isRoundingMask(b) ? { lo: a.lo & b.lo, hi: a.hi & b.lo } : ANYTHING;
    case OP.i32Or:
    case OP.i32Xor:
      return a.lo >= 0 && b.lo >= 0 ? { lo: 0, hi: allOnesAbove(Math.max(a.hi, b.hi)) } : ANYTHING;
    case OP.i32RemU:
      return b.lo > 0 ? { lo: 0, hi: b.hi - 1 } : ANYTHING;
    case OP.i32DivU:
      return a.lo >= 0 && b.lo > 0 ? { lo: 0, hi: a.hi } : ANYTHING;
    case OP.i32Shl:
      return isShift(b) && a.lo >= 0 ? inRange(a.lo * 2 ** b.lo, a.hi * 2 ** b.lo) : ANYTHING;
    case OP.i32ShrU:
      if (!isShift(b)) return ANYTHING;
      if (a.lo >= 0) return { lo: a.lo >>> b.lo, hi: a.hi >>> b.lo };
      return b.lo > 0 ? { lo: 0, hi: 0xffffffff >>> b.lo } : ANYTHING;
    case OP.i32ShrS:
      return isShift(b) ? { lo: a.lo >> b.lo, hi: a.hi >> b.lo } : ANYTHING;
    default:
      return ANYTHING;
  }
}

/** -1, -2, -4, -8, ... */
function isRoundingMask(b: Interval): boolean {
  return b.lo === b.hi && b.lo < 0 && (-b.lo & (-b.lo - 1)) === 0;
}

function isShift(b: Interval): boolean {
  return b.lo === b.hi && b.lo >= 0 && b.lo < 32;
}

function allOnesAbove(value: number): number {
  return value === 0 ? 0 : 2 ** (32 - Math.clz32(value)) - 1;
}
