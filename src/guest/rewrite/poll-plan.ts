/**
 * Where a guest can be stopped. Every way to go round must pass a poll, and polls must not slow down the loops that
 * matter, since Asyncify puts state checks around whatever may unwind:
 *
 *   none    the loop provably ends soon (see loop-bounds): no poll, and it stays one plain chunk
 *   strip   nothing in it can unwind: an inner copy of the loop runs a budget of turns between two polls
 *   header  anything else: a poll at the top of every turn
 */
import { type Instruction, matchBlocks } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import type { CallGraph } from './call-graph.js';

export type LoopPoll =
  | { readonly kind: 'none' }
  | { readonly kind: 'header' }
  | { readonly kind: 'strip'; readonly budget: number };

export interface FunctionPolls {
  readonly atEntry: boolean;
  /** By the index of the loop's instruction in the decoded body. */
  readonly loops: ReadonlyMap<number, LoopPoll>;
}

/** Most instructions that may run between two polls: about two milliseconds. */
export const MAX_UNPOLLED_INSTRUCTIONS = 8_000_000;
/**
 * The same for a loop that walks memory one way, like a bulk instruction: its bound is the whole of RAM, where real
 * ones walk a packet. What holds such a loop is polled every turn.
 */
const MAX_WALK_INSTRUCTIONS = 2 ** 32;
const MAX_STRIP_TURNS = 4096;

/** Upper bounds of a loop's turns, null where none can be proved: see LoopBounds. */
export interface TurnBounds {
  turns(functionIndex: number, loopAt: number): number | null;
  walk(functionIndex: number, loopAt: number): number | null;
}

interface LoopNode {
  readonly at: number;
  readonly end: number;
  readonly inner: LoopNode[];
}

export class PollPlanner {
  readonly #graph: CallGraph;
  readonly #bounds: TurnBounds;
  readonly #blocking: number | null;
  /** Cost of one call of each defined function that never polls. Infinity: it polls. */
  readonly #cost = new Map<number, number>();
  readonly #plans = new Map<number, FunctionPolls>();

  /** @param blockingImport index of wait-for-interrupt, after which a poll follows; null when not imported. */
  constructor(graph: CallGraph, bounds: TurnBounds, blockingImport: number | null) {
    this.#graph = graph;
    this.#bounds = bounds;
    this.#blocking = blockingImport;
  }

  plan(): FunctionPolls[] {
    const { bodies, importedFunctions } = this.#graph;
    for (let f = 0; f < bodies.length; f++) this.#settle(f + importedFunctions);
    return bodies.map((_, f) => this.#plans.get(f + importedFunctions)!);
  }

  /** Plans a function after everything it calls; recursive functions poll at entry, which breaks the cycles. */
  #settle(root: number): void {
    const pending = [root];
    while (pending.length > 0) {
      const f = pending[pending.length - 1];
      if (this.#plans.has(f)) {
        pending.pop();
        continue;
      }
      const body = this.#graph.bodies[f - this.#graph.importedFunctions];
      const waiting = this.#graph.recursive.has(f) ? [] : this.#unsettledCallees(body);
      if (waiting.length > 0) {
        pending.push(...waiting);
        continue;
      }
      pending.pop();
      this.#planFunction(f, body);
    }
  }

  #unsettledCallees(body: readonly Instruction[]): number[] {
    const unsettled = new Set<number>();
    for (const instruction of body) {
      for (const callee of this.#graph.calleesOf(instruction)) {
        if (callee < this.#graph.importedFunctions || this.#plans.has(callee)) continue;
        if (!this.#graph.recursive.has(callee)) unsettled.add(callee);
      }
    }
    return [...unsettled];
  }

  #planFunction(f: number, body: readonly Instruction[]): void {
    const loops = new Map<number, LoopPoll>();
    const atEntry = this.#graph.recursive.has(f);
    const { endOf } = matchBlocks(body);
    const tree: LoopNode = { at: -1, end: body.length, inner: [] };
    const open = [tree];
    for (let i = 0; i < body.length; i++) {
      while (i > open[open.length - 1].end) open.pop();
      if (body[i].op !== OP.loop) continue;
      const node: LoopNode = { at: i, end: endOf[i], inner: [] };
      open[open.length - 1].inner.push(node);
      open.push(node);
    }
    const cost = this.#costOfTurn(f, body, tree, loops);
    this.#plans.set(f, { atEntry, loops });
    this.#cost.set(f, atEntry ? Number.POSITIVE_INFINITY : cost);
  }

  /** Plans the loops inside `node`; returns an upper bound of instructions for one turn, Infinity if it may poll. */
  #costOfTurn(f: number, body: readonly Instruction[], node: LoopNode, loops: Map<number, LoopPoll>): number {
    let cost = 0;
    let next = 0;
    for (let i = node.at + 1; i < node.end; i++) {
      const inner = node.inner[next];
      if (inner !== undefined && inner.at === i) {
        cost += this.#planLoop(f, body, inner, loops);
        i = inner.end;
        next++;
        continue;
      }
      cost += 1;
      for (const callee of this.#graph.calleesOf(body[i])) cost += this.#costOfCall(callee);
      // a call through an empty set of targets can only trap, and memory.grow becomes a call that never polls
    }
    return cost;
  }

  #costOfCall(callee: number): number {
    if (callee === this.#blocking) return Number.POSITIVE_INFINITY;
    if (callee < this.#graph.importedFunctions) return 100;
    if (this.#graph.recursive.has(callee)) return Number.POSITIVE_INFINITY;
    return this.#cost.get(callee) ?? Number.POSITIVE_INFINITY;
  }

  #planLoop(f: number, body: readonly Instruction[], node: LoopNode, loops: Map<number, LoopPoll>): number {
    const turnCost = this.#costOfTurn(f, body, node, loops);
    const unpolled = this.#costUnpolled(f, node.at, turnCost);
    if (unpolled !== null) {
      loops.set(node.at, { kind: 'none' });
      return unpolled;
    }
    const hasParameters = body[node.at].a >= 0;
    if (turnCost === Number.POSITIVE_INFINITY || hasParameters) loops.set(node.at, { kind: 'header' });
    else {
      const budget = Math.floor(MAX_UNPOLLED_INSTRUCTIONS / turnCost);
      loops.set(node.at, { kind: 'strip', budget: Math.max(1, Math.min(MAX_STRIP_TURNS, budget)) });
    }
    return Number.POSITIVE_INFINITY;
  }

  /** What the loop costs at most when it has no poll; null when it needs one. */
  #costUnpolled(f: number, loopAt: number, turnCost: number): number | null {
    if (turnCost === Number.POSITIVE_INFINITY) return null;
    const turns = this.#bounds.turns(f, loopAt);
    if (turns !== null && turns * turnCost <= MAX_UNPOLLED_INSTRUCTIONS) return turns * turnCost;
    const walk = this.#bounds.walk(f, loopAt);
    return walk !== null && walk * turnCost <= MAX_WALK_INSTRUCTIONS ? MAX_UNPOLLED_INSTRUCTIONS : null;
  }
}
