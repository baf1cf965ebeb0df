/**
 * The comparison that a loop's next turn depends on, and how often it can hold for a counter that moves by a constant.
 */
import { OP } from '../wasm/opcodes.js';
import type { Expression } from './expressions.js';
import type { Interval } from './value-bounds.js';

/** A comparison that must hold for the loop to go on. */
export interface Guard {
  readonly at: number;
  readonly op: number;
  readonly left: Expression;
  readonly right: Expression;
}

/** A condition as a comparison that holds when the loop goes on. */
export function comparisonOf(condition: Expression, goesOnWhen: boolean, at: number): Guard {
  const zero: Expression = { kind: 'constant', value: 0 };
  if (condition.kind === 'operation') {
    const { op, operands } = condition;
    if (op === OP.i32Eqz) return comparisonOf(operands[0], !goesOnWhen, at);
    if (op >= OP.i32Eq && op <= OP.i32GeU) {
      return { at, op: goesOnWhen ? op : OPPOSITE[op], left: operands[0], right: operands[1] };
    }
  }
  return { at, op: goesOnWhen ? OP.i32Ne : OP.i32Eq, left: condition, right: zero };
}

export function mirrored({ op, left, right }: Guard): Pick<Guard, 'op' | 'left' | 'right'> {
  return { op: MIRRORED[op], left: right, right: left };
}

const MIN = -(2 ** 31);
const MAX = 2 ** 31 - 1;

/**
 * Most turns while `value op limit` holds, where value begins somewhere in `first` and moves by `step` each turn; null
 * when it could pass the limit unseen by wrapping round, or never meet it.
 */
export function turnsWhile(op: number, first: Interval, step: number, limit: Interval): number | null {
  const wraps = first.lo < MIN || first.hi > MAX;
  const begin: Interval = wraps ? { lo: MIN, hi: MAX } : first;
  const turns = (distance: number) => Math.max(0, Math.ceil(distance / Math.abs(step))) + 2;
  switch (op) {
    case OP.i32LtS:
    case OP.i32LeS:
      return step > 0 && limit.hi + step <= MAX ? turns(limit.hi - begin.lo) : null;
    case OP.i32GtS:
    case OP.i32GeS:
      return step < 0 && limit.lo + step >= MIN ? turns(begin.hi - limit.lo) : null;
    case OP.i32LtU:
    case OP.i32LeU:
      // a limit below 2^31 leaves room for any step before the value wraps
      return step > 0 && limit.lo >= 0 ? turns(limit.hi) : null;
    case OP.i32GtU:
    case OP.i32GeU: {
      const lowest = limit.lo + (op === OP.i32GtU ? 1 : 0);
      return step < 0 && limit.lo >= 0 && begin.lo >= 0 && lowest + step >= 0 ? turns(begin.hi) : null;
    }
    case OP.i32Ne:
      if (step === 1) return begin.hi <= limit.lo ? turns(limit.hi - begin.lo) : null;
      if (step === -1) return begin.lo >= limit.hi ? turns(begin.hi - limit.lo) : null;
      return null;
    default:
      return null;
  }
}

const OPPOSITE: Readonly<Record<number, number>> = {
  [OP.i32Eq]: OP.i32Ne,
  [OP.i32Ne]: OP.i32Eq,
  [OP.i32LtS]: OP.i32GeS,
  [OP.i32LtU]: OP.i32GeU,
  [OP.i32GtS]: OP.i32LeS,
  [OP.i32GtU]: OP.i32LeU,
  [OP.i32LeS]: OP.i32GtS,
  [OP.i32LeU]: OP.i32GtU,
  [OP.i32GeS]: OP.i32LtS,
  [OP.i32GeU]: OP.i32LtU,
};

/** The same comparison with its sides changed. */
const MIRRORED: Readonly<Record<number, number>> = {
  [OP.i32Eq]: OP.i32Eq,
  [OP.i32Ne]: OP.i32Ne,
  [OP.i32LtS]: OP.i32GtS,
  [OP.i32LtU]: OP.i32GtU,
  [OP.i32GtS]: OP.i32LtS,
  [OP.i32GtU]: OP.i32LtU,
  [OP.i32LeS]: OP.i32GeS,
  [OP.i32LeU]: OP.i32GeU,
  [OP.i32GeS]: OP.i32LeS,
  [OP.i32GeU]: OP.i32LeU,
};
