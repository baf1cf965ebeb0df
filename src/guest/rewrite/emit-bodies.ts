/**
 * Rewrites every body in one walk: function indices move up by one (the poll import), memory.size and memory.grow
 * become accesses of the control page, data.drop becomes nothing, polls go in where the plan says.
 *
 * A strip-mined loop. Branches to the loop become branches to $turn; branches beyond it pass three labels more:
 *
 *   block $done (result of the loop)
 *     budget = N
 *     loop $strip
 *       loop $inner
 *         block $turn
 *           ...body...           falls through with the loop's results:
 *           br $done
 *         end
 *         if (--budget) br $inner
 *       end
 *       poll; budget = N
 *       br $strip
 *     end
 *     unreachable
 *   end
 */
import { CTRL } from '../../machine/layout.js';
import type { Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import { type FunctionBody, VALUE_TYPE } from '../wasm/wasm-module.js';
import { CodeWriter } from './code-writer.js';
import type { FunctionPolls } from './poll-plan.js';

const STRIP_EXTRA_LABELS = 3;

export interface EmitContext {
  readonly controlOffset: number;
  readonly importedFunctions: number;
  /** Index of the poll import after renumbering. */
  readonly pollFunction: number;
  readonly growFunction: number;
  /** Index (before renumbering) of wait-for-interrupt, or -1. */
  readonly blockingImport: number;
}

/** Function index after the poll import was put behind the other imports. */
export function renumber(index: number, importedFunctions: number): number {
  return index >= importedFunctions ? index + 1 : index;
}

/** An open block of the original body. A strip-mined loop has become four labels, the others one. */
interface Label {
  readonly strip: { readonly budget: number; readonly budgetLocal: number } | null;
}

const PLAIN_LABEL: Label = { strip: null };

export class BodyEmitter {
  readonly #context: EmitContext;
  readonly #body: FunctionBody;
  readonly #instructions: readonly Instruction[];
  readonly #polls: FunctionPolls;
  readonly #out = new CodeWriter();
  /** Innermost last; the function's own label is not here. */
  readonly #labels: Label[] = [];
  readonly #firstFreeLocal: number;
  #addedLocals = 0;

  constructor(
    context: EmitContext,
    body: FunctionBody,
    paramCount: number,
    instructions: readonly Instruction[],
    polls: FunctionPolls,
  ) {
    this.#context = context;
    this.#body = body;
    this.#instructions = instructions;
    this.#polls = polls;
    this.#firstFreeLocal = paramCount + body.locals.reduce((sum, group) => sum + group.count, 0);
  }

  emit(): FunctionBody {
    if (this.#polls.atEntry) this.#poll();
    this.#instructions.forEach((instruction, i) => {
      this.#emitOne(instruction, i);
    });
    const added = this.#addedLocals > 0 ? [{ count: this.#addedLocals, valueType: VALUE_TYPE.i32 }] : [];
    return { locals: [...this.#body.locals, ...added], code: this.#out.finish() };
  }

  #emitOne(instruction: Instruction, index: number): void {
    const out = this.#out;
    const { op, a } = instruction;
    switch (op) {
      case OP.block:
      case OP.if:
        this.#labels.push(PLAIN_LABEL);
        break;
      case OP.loop:
        this.#openLoop(instruction, index);
        return;
      case OP.end: {
        const strip = this.#labels.pop()?.strip;
        if (!strip) break;
        this.#closeStrip(strip.budget, strip.budgetLocal);
        return;
      }
      case OP.br:
      case OP.brIf:
        out.op(op).u32(this.#depth(a));
        return;
      case OP.brTable:
        out.op(op).u32(instruction.depths!.length - 1);
        for (const depth of instruction.depths!) out.u32(this.#depth(depth));
        return;
      case OP.call:
        out.call(renumber(a, this.#context.importedFunctions));
        if (a === this.#context.blockingImport) this.#poll();
        return;
      case OP.refFunc:
        out.op(op).u32(renumber(a, this.#context.importedFunctions));
        return;
      case OP.memorySize:
        out.i32(0).memory(OP.i32Load, 2, this.#context.controlOffset + CTRL.guestPages * 4);
        return;
      case OP.memoryGrow:
        out.call(this.#context.growFunction);
        return;
      case OP.dataDrop:
        return; // whether a segment was dropped would be one more thing to move to the destination
    }
    out.raw(this.#body.code.subarray(instruction.at, instruction.end));
  }

  #openLoop(instruction: Instruction, index: number): void {
    const out = this.#out;
    const plan = this.#polls.loops.get(index) ?? { kind: 'header' };
    if (plan.kind !== 'strip') {
      this.#labels.push(PLAIN_LABEL);
      out.raw(this.#body.code.subarray(instruction.at, instruction.end));
      if (plan.kind === 'header') this.#poll();
      return;
    }
    const budgetLocal = this.#firstFreeLocal + this.#addedLocals++;
    this.#labels.push({ strip: { budget: plan.budget, budgetLocal } });
    out.op(OP.block).raw(this.#body.code.subarray(instruction.at + 1, instruction.end)); // $done, of the loop's type
    out.i32(plan.budget).set(budgetLocal);
    out.open(OP.loop).open(OP.loop).open(OP.block); // $strip, $inner, $turn
  }

  #closeStrip(budget: number, budgetLocal: number): void {
    const out = this.#out;
    out.br(STRIP_EXTRA_LABELS).end(); // the loop is over: br $done
    out.get(budgetLocal).i32(1).op(OP.i32Sub).tee(budgetLocal).brIf(0).end();
    this.#poll();
    out.i32(budget).set(budgetLocal).br(0).end();
    out.op(OP.unreachable).end();
  }

  /** The same label, counted in what the labels have become. */
  #depth(depth: number): number {
    let strips = 0;
    for (let i = 1; i <= depth; i++) if (this.#labels[this.#labels.length - i]?.strip) strips++;
    return depth + strips * STRIP_EXTRA_LABELS;
  }

  #poll(): void {
    const attention = this.#context.controlOffset + CTRL.attention * 4;
    this.#out
      .i32(0)
      .memory(OP.i32AtomicLoad, 2, attention)
      .open(OP.if)
      .call(this.#context.pollFunction)
      .end();
  }
}
