/**
 * Functions that the rewriter adds to a guest.
 */
import { CTRL } from '../../machine/layout.js';
import { OP } from '../wasm/opcodes.js';
import { type FunctionBody, VALUE_TYPE } from '../wasm/wasm-module.js';
import { CodeWriter } from './code-writer.js';

/**
 * memory.grow over RAM that is there already: (pages) -> old size, or -1 beyond the limit. RAM above the guest's size
 * is zero until the guest writes it, as grown memory must be.
 */
export function growBody(controlOffset: number, maxPages: number): FunctionBody {
  const wanted = 0;
  const old = 1;
  const sizeAt = controlOffset + CTRL.guestPages * 4;
  const out = new CodeWriter();
  out.i32(0).memory(OP.i32Load, 2, sizeAt).set(old);
  out.get(wanted).i32(maxPages).get(old).op(OP.i32Sub).op(OP.i32GtU);
  out.open(OP.if).i32(-1).op(OP.return).end();
  out.i32(0).get(old).get(wanted).op(OP.i32Add).memory(OP.i32Store, 2, sizeAt);
  out.get(old).end();
  return { locals: [{ count: 1, valueType: VALUE_TYPE.i32 }], code: out.finish() };
}

/**
 * What the vCPU enters: the start functions, then run. Being part of the stack, they run once in a guest's life: a
 * restored guest rewinds past them.
 */
export function bootBody(startFunctions: readonly number[], run: number): FunctionBody {
  const out = new CodeWriter();
  for (const start of startFunctions) out.call(start);
  out.call(run).end();
  return { locals: [], code: out.finish() };
}
