/**
 * Loops that provably end soon: `i` steps by a constant on the way to every back-edge, and every back-edge lies behind
 * a comparison of `i` with something that is bounded and does not change in the loop.
 *
 *     loop                                   loop
 *       if (!(i < n)) br out                   ...
 *       ...; i += c; br loop                   i += c; br_if loop (i < n)
 *
 * Anything that does not fit exactly has no bound, and is polled.
 */
import { type Instruction, matchBlocks } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import type { CallGraph } from './call-graph.js';
import { type Expression, expressionEndingAt } from './expressions.js';
import { comparisonOf, type Guard, mirrored, turnsWhile } from './loop-guard.js';
import type { Definition, Interval, ValueBounds } from './value-bounds.js';

interface Step {
  readonly at: number;
  readonly local: number;
  readonly by: number;
}

/** Memory and stride together stay below 2^32: no walk wraps round past the part that traps. */
const MAX_STRIDE = 2 ** 30;

/** Searching a larger loop costs more than its polls. */
const MAX_LOOP_INSTRUCTIONS = 4000;

export class LoopBounds {
  readonly #graph: CallGraph;
  readonly #values: ValueBounds;
  readonly #memoryBytes: number;
  #mapped = -1;
  #map: BodyMap | null = null;

  /** @param memoryBytes what lies above traps. */
  constructor(graph: CallGraph, values: ValueBounds, memoryBytes: number) {
    this.#graph = graph;
    this.#values = values;
    this.#memoryBytes = memoryBytes;
  }

  /** Most turns of the loop at that instruction by its own count, or null. Function indices count imports. */
  turns(functionIndex: number, loopAt: number): number | null {
    return this.#search(functionIndex, loopAt).turns();
  }

  /** Most turns of a loop that walks memory one way, or null: it would leave the memory, and trap. */
  walk(functionIndex: number, loopAt: number): number | null {
    return this.#search(functionIndex, loopAt).walk(this.#memoryBytes);
  }

  #search(functionIndex: number, loopAt: number): LoopSearch {
    const f = functionIndex - this.#graph.importedFunctions;
    const body = this.#graph.bodies[f];
    if (this.#mapped !== f) {
      this.#mapped = f;
      this.#map = mapBody(body);
    }
    return new LoopSearch(body, this.#map!, this.#values, f, loopAt);
  }
}

/** Per instruction: the end of the arm (block, loop body, then or else) that it is in, its loop, its nesting. */
interface BodyMap {
  readonly endOf: Int32Array;
  readonly armEnd: Int32Array;
  readonly loop: Int32Array;
  readonly depth: Int32Array;
}

function mapBody(body: readonly Instruction[]): BodyMap {
  const { endOf, elseOf } = matchBlocks(body);
  const map = {
    endOf,
    armEnd: new Int32Array(body.length).fill(body.length),
    loop: new Int32Array(body.length).fill(-1),
    depth: new Int32Array(body.length),
  };
  const open: { armEnd: number; end: number; loop: number }[] = [];
  for (let at = 0; at < body.length; at++) {
    const { op } = body[at];
    if (op === OP.end) open.pop();
    const top = open[open.length - 1];
    if (op === OP.else && top !== undefined) top.armEnd = top.end;
    map.armEnd[at] = top?.armEnd ?? body.length;
    map.loop[at] = top?.loop ?? -1;
    map.depth[at] = open.length;
    if (op === OP.block || op === OP.loop || op === OP.if) {
      const end = endOf[at];
      const armEnd = elseOf[at] >= 0 ? elseOf[at] : end;
      open.push({ armEnd, end, loop: op === OP.loop ? at : (top?.loop ?? -1) });
    }
  }
  return map;
}

class LoopSearch {
  readonly #body: readonly Instruction[];
  readonly #map: BodyMap;
  readonly #values: ValueBounds;
  readonly #f: number;
  readonly #loopAt: number;
  readonly #end: number;
  readonly #backEdges: readonly number[];

  constructor(body: readonly Instruction[], map: BodyMap, values: ValueBounds, f: number, loopAt: number) {
    this.#body = body;
    this.#map = map;
    this.#values = values;
    this.#f = f;
    this.#loopAt = loopAt;
    this.#end = map.endOf[loopAt];
    this.#backEdges = this.#findBackEdges();
  }

  turns(): number | null {
    if (this.#backEdges.length === 0) return 1;
    if (this.#end - this.#loopAt > MAX_LOOP_INSTRUCTIONS) return null;
    const guards = [...this.#guards()];
    let best: number | null = null;
    for (const step of this.#steps()) {
      for (const guard of guards) {
        const turns = this.#turnsOf(step, guard);
        if (turns !== null && (best === null || turns < best)) best = turns;
      }
    }
    return best;
  }

  walk(memoryBytes: number): number | null {
    if (this.#end - this.#loopAt > MAX_LOOP_INSTRUCTIONS) return null;
    let best: number | null = null;
    const steps = this.#steps();
    if (steps.length === 0) return null;
    for (let at = this.#loopAt + 1; at < this.#end; at++) {
      const address = this.#addressAt(at);
      if (address === null || !this.#everyTurnPasses(at)) continue;
      for (const step of steps) {
        const stride = Math.abs(step.by);
        // a longer stride could jump over what traps
        if (stride > MAX_STRIDE || this.#counterOffset(address, step, at) === null) continue;
        const turns = Math.ceil(memoryBytes / stride) + 1;
        if (best === null || turns < best) best = turns;
      }
    }
    return best;
  }

  /** The address that an instruction reads or writes one value at; null for other instructions. */
  #addressAt(at: number): Expression | null {
    const { op } = this.#body[at];
    if (op >= OP.i32Load && op <= OP.i64Load32U) {
      return expressionEndingAt(this.#body, at - 1, this.#values.parameterCount).expression;
    }
    if (op < OP.i32Store || op > OP.i64Store32) return null;
    const value = expressionEndingAt(this.#body, at - 1, this.#values.parameterCount);
    if (value.start < 1) return null;
    return expressionEndingAt(this.#body, value.start - 1, this.#values.parameterCount).expression;
  }

  /** Label depth that means the loop itself, at an instruction inside of it. */
  #selfDepth(at: number): number {
    return this.#map.depth[at] - this.#map.depth[this.#loopAt] - 1;
  }

  #findBackEdges(): number[] {
    const found: number[] = [];
    for (let at = this.#loopAt + 1; at < this.#end; at++) {
      const { op, a, depths } = this.#body[at];
      const self = this.#selfDepth(at);
      if ((op === OP.br || op === OP.brIf) && a === self) found.push(at);
      if (op === OP.brTable && depths!.includes(self)) found.push(at);
    }
    return found;
  }

  /**
   * Whether every turn that comes round passes the instruction exactly once: it is in no inner loop, and each back-edge
   * lies behind it in its own arm or deeper. (A branch that skips it would leave that arm, and miss the back-edge too.)
   */
  #everyTurnPasses(at: number): boolean {
    return (
      this.#map.loop[at] === this.#loopAt &&
      this.#backEdges.every((edge) => edge >= at && edge < this.#map.armEnd[at])
    );
  }

  /** Locals that the loop assigns once, as `i = i + c`. */
  #steps(): Step[] {
    const inside = this.#values.definitionsOf(this.#f).filter((d) => this.#isInside(d.at));
    return inside.flatMap(({ at, local, value }) => {
      const by = stepOf(local, this.#resolved(value, at)?.value ?? value);
      if (by === null || by === 0 || !this.#everyTurnPasses(at)) return [];
      return inside.filter((other) => other.local === local).length === 1 ? [{ at, local, by }] : [];
    });
  }

  /** Comparisons that must hold for any back-edge to be taken. */
  *#guards(): Generator<Guard> {
    for (let at = this.#loopAt + 1; at < this.#end; at++) {
      const { op, a } = this.#body[at];
      if (op !== OP.brIf && op !== OP.if) continue;
      if (this.#map.loop[at] !== this.#loopAt) continue;
      let goesOnWhen: boolean;
      if (op === OP.if) {
        // every back-edge in the then-arm
        const next = this.#body[at + 1].op;
        const armEnd = this.#map.armEnd[at + 1];
        if (
          next === OP.else ||
          next === OP.end ||
          !this.#backEdges.every((edge) => edge > at && edge < armEnd)
        )
          continue;
        goesOnWhen = true;
      } else if (a === this.#selfDepth(at)) {
        if (this.#backEdges.length !== 1) continue;
        goesOnWhen = true;
      } else if (a > this.#selfDepth(at) && this.#everyTurnPasses(at)) goesOnWhen = false;
      else continue;
      const { expression } = expressionEndingAt(this.#body, at - 1, this.#values.parameterCount);
      yield comparisonOf(expression, goesOnWhen, at);
    }
  }

  #turnsOf(step: Step, guard: Guard): number | null {
    return this.#turnsWith(step, guard) ?? this.#turnsWith(step, { ...guard, ...mirrored(guard) });
  }

  /** With the counter on the left. */
  #turnsWith(step: Step, { at, op, left, right }: Guard): number | null {
    const offset = this.#counterOffset(left, step, at);
    if (offset === null || !this.#isInvariant(right)) return null;
    const start = this.#startOf(step.local);
    return turnsWhile(
      op,
      { lo: start.lo + offset, hi: start.hi + offset },
      step.by,
      this.#values.of(this.#f, right),
    );
  }

  /**
   * What the compared value has over the counter's value at the start of the first turn, in that turn; null when it is
   * not the counter. From turn to turn it moves by the step. @param at where it is read.
   */
  #counterOffset(compared: Expression, step: Step, at: number): number | null {
    switch (compared.kind) {
      case 'local': {
        if (compared.index === step.local) return at > step.at ? step.by : 0;
        const copy = this.#resolved(compared, at);
        return copy === null ? null : this.#counterOffset(copy.value, step, copy.at);
      }
      case 'tee':
        // either the step itself, compared on its way into the local, or a copy
        return compared.index === step.local ? step.by : this.#counterOffset(compared.value, step, at);
      case 'operation': {
        const [a, b] = compared.operands;
        const sign = compared.op === OP.i32Add ? 1 : compared.op === OP.i32Sub ? -1 : 0;
        if (sign === 0) return null;
        const [variable, constant] = b.kind === 'constant' || sign < 0 ? [a, b] : [b, a];
        if (constant.kind !== 'constant') return null;
        const inner = this.#counterOffset(variable, step, at);
        return inner === null ? null : inner + sign * constant.value;
      }
      default:
        return null;
    }
  }

  /** What a local that the loop assigns once, on every turn and before `at`, was assigned. */
  #resolved(expression: Expression, at: number): Definition | null {
    if (expression.kind !== 'local') return null;
    const inside = this.#values
      .definitionsOf(this.#f)
      .filter((d) => d.local === expression.index && this.#isInside(d.at));
    const [only] = inside;
    return inside.length === 1 && only.at < at && this.#everyTurnPasses(only.at) ? only : null;
  }

  /** Constants, locals that the loop does not assign, and arithmetic of these. A load may read something else each turn. */
  #isInvariant(expression: Expression): boolean {
    switch (expression.kind) {
      case 'constant':
        return true;
      case 'local':
        return !this.#values
          .definitionsOf(this.#f)
          .some((d) => d.local === expression.index && this.#isInside(d.at));
      case 'operation':
        return (
          !(expression.op >= OP.i32Load && expression.op <= OP.i64Load32U) &&
          expression.op !== OP.memorySize &&
          expression.operands.every((operand) => this.#isInvariant(operand))
        );
      default:
        return false;
    }
  }

  /** What the counter can be when the loop is entered. */
  #startOf(local: number): Interval {
    const outside = this.#values
      .definitionsOf(this.#f)
      .filter((d) => d.local === local && !this.#isInside(d.at));
    const before = outside.filter((d) => d.at < this.#loopAt && this.#leadsHere(d.at));
    const last = before[before.length - 1];
    if (last !== undefined && !outside.some((d) => d.at > last.at && d.at < this.#loopAt)) {
      return this.#values.of(this.#f, last.value);
    }
    // an outer loop may come back here with what this one left in the counter
    const isReentered = this.#map.loop[this.#loopAt] >= 0 && last === undefined;
    if (isReentered || this.#values.isParameter(this.#f, local)) return this.#values.local(this.#f, local);
    let start: Interval = { lo: 0, hi: 0 };
    for (const { value } of outside) {
      const range = this.#values.of(this.#f, value);
      start = { lo: Math.min(start.lo, range.lo), hi: Math.max(start.hi, range.hi) };
    }
    return start;
  }

  /** Whether every way into the loop passes that instruction since the last time round an outer loop. */
  #leadsHere(at: number): boolean {
    return this.#map.loop[at] === this.#map.loop[this.#loopAt] && this.#map.armEnd[at] > this.#loopAt;
  }

  #isInside(at: number): boolean {
    return at > this.#loopAt && at < this.#end;
  }
}

function stepOf(local: number, value: Expression): number | null {
  if (value.kind !== 'operation') return null;
  const [a, b] = value.operands;
  const isSelf = (e: Expression | undefined) => e?.kind === 'local' && e.index === local;
  if (value.op === OP.i32Add && isSelf(a) && b.kind === 'constant') return b.value;
  if (value.op === OP.i32Add && isSelf(b) && a.kind === 'constant') return a.value;
  if (value.op === OP.i32Sub && isSelf(a) && b.kind === 'constant') return -b.value;
  return null;
}
