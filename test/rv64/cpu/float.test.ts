import { describe, expect, it } from 'vitest';
import { typeR } from './assembler.js';
import { FloatHart } from './float-hart.js';
import * as model from './float-model.js';
import { DOUBLE, FLAG, type Format, type Mode, type Result, SINGLE } from './float-model.js';
import { RandomNumbers } from './random-numbers.js';

const MODES: readonly Mode[] = [0, 1, 2, 3, 4];
const CASES = 150;
const FORMATS = [SINGLE, DOUBLE] as const;

const hart = new FloatHart();

/** What the hart and the model say, as text that a failure shows. */
function say(result: Result): string {
  return `${result.bits.toString(16)} flags ${result.flags}`;
}

function forOperands(
  format: Format,
  seed: number,
  check: (a: bigint, b: bigint, c: bigint, mode: Mode) => void,
): void {
  const numbers = new RandomNumbers(seed);
  for (let i = 0; i < CASES; i++) {
    const a = numbers.float(format);
    const b = numbers.chance(0.3) ? numbers.near(a, format) : numbers.float(format);
    const c = numbers.chance(0.3) ? numbers.near(a, format) : numbers.float(format);
    for (const mode of MODES) check(a, b, c, mode);
  }
}

describe.each(FORMATS)('arithmetic of format $name', (format) => {
  const fmt = format === DOUBLE ? 1 : 0;
  const f7 = (group: number) => (group << 2) | fmt;

  /** Both with no flag raised before, and with the inexact flag up, where the host's arithmetic may be used. */
  function expectSame(word: number, inputs: readonly bigint[], wanted: Result, mode: Mode): void {
    for (const before of [0, FLAG.NX]) {
      const got = hart.compute(word, inputs, format, format, mode, before);
      const wantedNow = { bits: wanted.bits, flags: wanted.flags | before };
      if (say(got) !== say(wantedNow)) {
        const shown = inputs.map((bits) => bits.toString(16)).join(' ');
        expect(`${shown} mode ${mode}: ${say(got)}`).toBe(`${shown} mode ${mode}: ${say(wantedNow)}`);
      }
    }
  }

  it('fadd, fsub', () => {
    forOperands(format, 1, (a, b, _c, mode) => {
      expectSame(typeR(0x53, 7, f7(0), 3, 1, 2), [a, b], model.add(a, b, format, mode), mode);
      const difference = model.add(a, model.negate(b, format), format, mode);
      expectSame(typeR(0x53, 7, f7(1), 3, 1, 2), [a, b], difference, mode);
    });
  });

  it('fmul, fdiv', () => {
    forOperands(format, 2, (a, b, _c, mode) => {
      expectSame(typeR(0x53, 7, f7(2), 3, 1, 2), [a, b], model.multiply(a, b, format, mode), mode);
      expectSame(typeR(0x53, 7, f7(3), 3, 1, 2), [a, b], model.divide(a, b, format, mode), mode);
    });
  });

  it('fsqrt', () => {
    forOperands(format, 3, (a, _b, _c, mode) => {
      const positive = a & ((1n << (format.bits - 1n)) - 1n);
      for (const x of [a, positive]) {
        expectSame(typeR(0x53, 7, f7(0xb), 3, 1, 0), [x], model.squareRoot(x, format, mode), mode);
      }
    });
  });

  it('fmadd, fmsub, fnmsub, fnmadd', () => {
    forOperands(format, 4, (a, b, c, mode) => {
      const minusA = model.negate(a, format);
      // near cancellation: c about minus the product
      const close = model.negate(model.multiply(a, b, format, 0).bits, format);
      for (const third of [c, close]) {
        const minusC = model.negate(third, format);
        const fused = (opcode: number) => (typeR(opcode, 7, fmt, 3, 1, 2) | (4 << 27)) >>> 0;
        const inputs = [a, b, third];
        expectSame(fused(0x43), inputs, model.multiplyAdd(a, b, third, format, mode), mode);
        expectSame(fused(0x47), inputs, model.multiplyAdd(a, b, minusC, format, mode), mode);
        expectSame(fused(0x4b), inputs, model.multiplyAdd(minusA, b, third, format, mode), mode);
        expectSame(fused(0x4f), inputs, model.multiplyAdd(minusA, b, minusC, format, mode), mode);
      }
    });
  });

  it('just below the least normal number: tiny is what stays below it after rounding', () => {
    const width = format.fraction;
    const power = (exponent: bigint) => (exponent + format.bias) << width;
    const leastNormal = 1n << width;
    for (let place = 1n; place <= width; place++) {
      // (1 + e) * (1 - e), and the least normal number less very little
      const above = power(-10n) + (1n << (width - place));
      const below = power(11n - format.bias - 1n) + (1n << width) - (2n << (width - place));
      for (const mode of MODES) {
        for (const sign of [0n, 1n << (format.bits - 1n)]) {
          const wanted = model.multiply(above | sign, below, format, mode);
          expectSame(typeR(0x53, 7, f7(2), 3, 1, 2), [above | sign, below], wanted, mode);
          const inputs = [1n | (sign ^ (1n << (format.bits - 1n))), power(-place), leastNormal | sign];
          const sum = model.multiplyAdd(inputs[0]!, inputs[1]!, inputs[2]!, format, mode);
          expectSame((typeR(0x43, 7, fmt, 3, 1, 2) | (4 << 27)) >>> 0, inputs, sum, mode);
        }
      }
    }
  });

  it('the static rounding mode counts, not the one in frm', () => {
    const third = model.divide(
      format.bias << format.fraction,
      (format.bias + 1n) << format.fraction,
      format,
      0,
    );
    const three = model.add(
      (format.bias + 1n) << format.fraction,
      format.bias << format.fraction,
      format,
      0,
    ).bits;
    const one = format.bias << format.fraction;
    for (const mode of MODES) {
      const got = hart.compute(typeR(0x53, mode, f7(3), 3, 1, 2), [one, three], format, format, 1, 0);
      expect(say(got)).toBe(say(model.divide(one, three, format, mode)));
    }
    expect(third.flags).toBe(0);
  });

  it('comparisons, minimum and maximum, classes', () => {
    forOperands(format, 5, (a, b, _c, mode) => {
      if (mode !== 0) return;
      const where = model.order(a, b, format);
      const signals = model.anySignals(model.parse(a, format), model.parse(b, format));
      const loud = where === null ? FLAG.NV : 0;
      const bit = (value: boolean) => ({ bits: value ? 1n : 0n });
      const relation = (f3: number) =>
        hart.computeInteger(typeR(0x53, f3, f7(0x14), 3, 1, 2), [a, b], format, 0);
      expect(relation(0)).toEqual({ ...bit(where !== null && where <= 0), flags: loud });
      expect(relation(1)).toEqual({ ...bit(where === -1), flags: loud });
      expect(relation(2)).toEqual({ ...bit(where === 0), flags: signals ? FLAG.NV : 0 });
      for (const greatest of [false, true]) {
        const got = hart.compute(typeR(0x53, greatest ? 1 : 0, f7(5), 3, 1, 2), [a, b], format, format, 0, 0);
        expect(say(got)).toBe(say({ bits: chosen(a, b, greatest), flags: signals ? FLAG.NV : 0 }));
      }
      const mask = hart.computeInteger(typeR(0x53, 1, f7(0x1c), 3, 1, 0), [a], format, 0);
      expect(mask).toEqual({ bits: 1n << BigInt(classOf(a)), flags: 0 });
    });
  });

  function chosen(a: bigint, b: bigint, greatest: boolean): bigint {
    const isNan = (bits: bigint) => model.parse(bits, format).kind === 'nan';
    if (isNan(a)) return isNan(b) ? format.nan : b;
    if (isNan(b)) return a;
    const where = model.order(a, b, format)!;
    if (where === 0) {
      const aIsNegative = a >> (format.bits - 1n) !== 0n;
      return aIsNegative !== greatest ? a : b;
    }
    return where < 0 !== greatest ? a : b;
  }

  function classOf(bits: bigint): number {
    const value = model.parse(bits, format);
    if (value.kind === 'nan') return value.signaling ? 8 : 9;
    if (value.kind === 'infinite') return value.negative ? 0 : 7;
    if (value.top === 0n) return value.negative ? 3 : 4;
    const subnormal = ((bits >> format.fraction) & (2n * format.bias + 1n)) === 0n;
    if (value.negative) return subnormal ? 2 : 1;
    return subnormal ? 5 : 6;
  }

  it('to integers', () => {
    const numbers = new RandomNumbers(6);
    for (let i = 0; i < CASES; i++) {
      const a = numbers.chance(0.6) ? numbers.floatNearInteger(format) : numbers.float(format);
      for (const mode of MODES) {
        for (const [rs2, min, max] of RANGES) {
          const { value, flags } = model.toInteger(a, format, min, max, mode);
          const got = hart.computeInteger(typeR(0x53, mode, f7(0x18), 3, 1, rs2), [a], format, 0);
          const shown = rs2 < 2 ? BigInt.asUintN(64, BigInt.asIntN(32, value)) : BigInt.asUintN(64, value);
          if (got.bits !== shown || got.flags !== flags) {
            expect({ a: a.toString(16), mode, rs2, ...got }).toEqual({
              a: a.toString(16),
              mode,
              rs2,
              bits: shown,
              flags,
            });
          }
        }
      }
    }
  });

  it('from integers', () => {
    const numbers = new RandomNumbers(7);
    for (let i = 0; i < CASES; i++) {
      const x = numbers.long();
      for (const mode of MODES) {
        const readings = [
          BigInt.asIntN(32, x),
          BigInt.asUintN(32, x),
          BigInt.asIntN(64, x),
          BigInt.asUintN(64, x),
        ];
        readings.forEach((value, rs2) => {
          hart.core.setX(5, x);
          const got = hart.compute(typeR(0x53, 7, f7(0x1a), 3, 5, rs2), [], format, format, mode, 0);
          expect(say(got)).toBe(say(model.fromInteger(value, format, mode)));
        });
      }
    }
  });
});

const RANGES: readonly (readonly [rs2: number, min: bigint, max: bigint])[] = [
  [0, -(1n << 31n), (1n << 31n) - 1n],
  [1, 0n, (1n << 32n) - 1n],
  [2, -(1n << 63n), (1n << 63n) - 1n],
  [3, 0n, (1n << 64n) - 1n],
];

describe('between formats', () => {
  it('fcvt.s.d and fcvt.d.s', () => {
    const numbers = new RandomNumbers(8);
    for (let i = 0; i < CASES; i++) {
      const a = numbers.chance(0.5) ? numbers.doubleNearSingles() : numbers.float(DOUBLE);
      const b = numbers.float(SINGLE);
      for (const mode of MODES) {
        const narrowed = hart.compute(typeR(0x53, 7, 0x20, 3, 1, 1), [a], DOUBLE, SINGLE, mode, 0);
        expect(say(narrowed)).toBe(say(model.toFormat(a, DOUBLE, SINGLE, mode)));
        const widened = hart.compute(typeR(0x53, 7, 0x21, 3, 1, 0), [b], SINGLE, DOUBLE, mode, 0);
        expect(say(widened)).toBe(say(model.toFormat(b, SINGLE, DOUBLE, mode)));
      }
    }
  });

  it('a single that is not boxed counts as NaN, but moves as it is', () => {
    hart.core.setF(1, 0x3f800000n);
    hart.core.setF(2, 0xffffffff_3f800000n);
    const sum = hart.run(typeR(0x53, 0, 0, 3, 1, 2));
    expect(sum).toBe(0);
    expect(hart.core.f(3)).toBe(0xffffffff_7fc00000n);
    hart.core.setF(1, 0x12345678_bf800000n);
    hart.run(typeR(0x53, 0, 0x70, 7, 1, 0));
    expect(hart.core.x(7)).toBe(0xffffffff_bf800000n);
  });

  it('signs are injected without a flag', () => {
    const numbers = new RandomNumbers(9);
    for (const format of FORMATS) {
      const top = 1n << (format.bits - 1n);
      for (let i = 0; i < 100; i++) {
        const [a, b] = [numbers.float(format), numbers.float(format)];
        const wanted = [(a & ~top) | (b & top), (a & ~top) | (~b & top), a ^ (b & top)];
        wanted.forEach((bits, f3) => {
          const word = typeR(0x53, f3, 0x10 | (format === DOUBLE ? 1 : 0), 3, 1, 2);
          expect(hart.compute(word, [a, b], format, format, 0, 0)).toEqual({ bits, flags: 0 });
        });
      }
    }
  });
});

describe('what is not an instruction', () => {
  it.each([
    ['a rounding mode that does not exist', typeR(0x53, 5, 0, 3, 1, 2), 0],
    ['a dynamic rounding mode that does not exist', typeR(0x53, 7, 0, 3, 1, 2), 5],
    ['a format that does not exist', typeR(0x53, 0, 2, 3, 1, 2), 0],
    ['a conversion to itself', typeR(0x53, 0, 0x20, 3, 1, 0), 0],
    ['a square root of two operands', typeR(0x53, 0, 0x2c, 3, 1, 2), 0],
  ])('%s', (_what, word, frm) => {
    expect(hart.traps(word, frm)).toBe(2);
  });

  it('anything, with the unit off', () => {
    for (const word of [typeR(0x53, 0, 0, 3, 1, 2), 0x0000_2087, 0x0010_2027, 0x0020_21f3]) {
      expect(hart.trapsWhenOff(word)).toBe(2);
    }
  });
});
