/**
 * Floating point by exact rational arithmetic in BigInt: the second implementation that the core's is held against.
 * A number is sign * numerator / denominator; rounding looks at the exact value.
 */

export const FLAG = { NX: 1, UF: 2, OF: 4, DZ: 8, NV: 16 } as const;
export type Mode = 0 | 1 | 2 | 3 | 4;

export interface Format {
  readonly name: 's' | 'd';
  readonly fraction: bigint;
  readonly bias: bigint;
  readonly nan: bigint;
  readonly bits: bigint;
}

export const SINGLE: Format = { name: 's', fraction: 23n, bias: 127n, nan: 0x7fc00000n, bits: 32n };
export const DOUBLE: Format = { name: 'd', fraction: 52n, bias: 1023n, nan: 0x7ff8000000000000n, bits: 64n };

type Value =
  | { readonly kind: 'nan'; readonly signaling: boolean }
  | { readonly kind: 'infinite'; readonly negative: boolean }
  /** numerator >= 0, denominator > 0. */
  | { readonly kind: 'finite'; readonly negative: boolean; readonly top: bigint; readonly bottom: bigint };

export interface Result {
  readonly bits: bigint;
  readonly flags: number;
}

export function parse(bits: bigint, format: Format): Value {
  const negative = bits >> (format.bits - 1n) !== 0n;
  const fraction = bits & ((1n << format.fraction) - 1n);
  const most = 2n * format.bias + 1n;
  const field = (bits >> format.fraction) & most;
  if (field === most) {
    if (fraction === 0n) return { kind: 'infinite', negative };
    return { kind: 'nan', signaling: fraction >> (format.fraction - 1n) === 0n };
  }
  const whole = field === 0n ? fraction : fraction | (1n << format.fraction);
  const power = (field === 0n ? 1n : field) - format.bias - format.fraction;
  return power >= 0n
    ? { kind: 'finite', negative, top: whole << power, bottom: 1n }
    : { kind: 'finite', negative, top: whole, bottom: 1n << -power };
}

const signed = (negative: boolean, format: Format) => (negative ? 1n << (format.bits - 1n) : 0n);
const infinityBits = (negative: boolean, format: Format) =>
  signed(negative, format) | ((2n * format.bias + 1n) << format.fraction);

/** floor(top / bottom) rounded by mode; whether anything was lost. */
function divideRounded(top: bigint, bottom: bigint, negative: boolean, mode: Mode): [bigint, boolean] {
  const quotient = top / bottom;
  const rest = top - quotient * bottom;
  if (rest === 0n) return [quotient, false];
  const half = 2n * rest - bottom;
  const up =
    mode === 0
      ? half > 0n || (half === 0n && (quotient & 1n) === 1n)
      : mode === 2
        ? negative
        : mode === 3
          ? !negative
          : mode === 4
            ? half >= 0n
            : false;
  return [quotient + (up ? 1n : 0n), true];
}

/** floor(log2(top / bottom)). */
function logarithm(top: bigint, bottom: bigint): bigint {
  let guess = BigInt(top.toString(2).length - bottom.toString(2).length);
  const atLeast = (power: bigint) => (power >= 0n ? top >= bottom << power : top << -power >= bottom);
  while (!atLeast(guess)) guess--;
  while (atLeast(guess + 1n)) guess++;
  return guess;
}

const scaled = (top: bigint, bottom: bigint, power: bigint): [bigint, bigint] =>
  power >= 0n ? [top, bottom << power] : [top << -power, bottom];

/** The exact value top / bottom (> 0), rounded to the format. `sticky`: the true value is a little more. */
function roundTo(negative: boolean, top: bigint, bottom: bigint, format: Format, mode: Mode): Result {
  const least = 1n - format.bias;
  const power = logarithm(top, bottom);
  const [free, freeLost] = divideRounded(...scaled(top, bottom, power - format.fraction), negative, mode);
  const carried = free >> (format.fraction + 1n) !== 0n;
  const freePower = carried ? power + 1n : power;
  if (freePower > format.bias) {
    const away = mode === 0 || mode === 4 || (mode === 2 && negative) || (mode === 3 && !negative);
    return { bits: infinityBits(negative, format) - (away ? 0n : 1n), flags: FLAG.OF | FLAG.NX };
  }
  if (power >= least) {
    const whole = carried ? free >> 1n : free;
    const field = freePower + format.bias - 1n;
    return {
      bits: signed(negative, format) + (field << format.fraction) + whole,
      flags: freeLost ? FLAG.NX : 0,
    };
  }
  const [whole, lost] = divideRounded(...scaled(top, bottom, least - format.fraction), negative, mode);
  const tiny = freePower < least;
  return {
    bits: signed(negative, format) + whole,
    flags: lost ? FLAG.NX | (tiny ? FLAG.UF : 0) : 0,
  };
}

const nan = (format: Format, invalid: boolean): Result => ({
  bits: format.nan,
  flags: invalid ? FLAG.NV : 0,
});
const exact = (bits: bigint): Result => ({ bits, flags: 0 });
const anySignals = (...values: Value[]) => values.some((value) => value.kind === 'nan' && value.signaling);

export function negate(bits: bigint, format: Format): bigint {
  return bits ^ (1n << (format.bits - 1n));
}

export function add(a: bigint, b: bigint, format: Format, mode: Mode): Result {
  return multiplyAdd(a, format.bias << format.fraction, b, format, mode);
}

/** a * b + c. */
export function multiplyAdd(a: bigint, b: bigint, c: bigint, format: Format, mode: Mode): Result {
  const [x, y, z] = [parse(a, format), parse(b, format), parse(c, format)];
  const isZero = (value: Value) => value.kind === 'finite' && value.top === 0n;
  if ((x.kind === 'infinite' && isZero(y)) || (isZero(x) && y.kind === 'infinite')) return nan(format, true);
  if (x.kind === 'nan' || y.kind === 'nan' || z.kind === 'nan') return nan(format, anySignals(x, y, z));
  const negative = x.negative !== y.negative;
  if (x.kind === 'infinite' || y.kind === 'infinite') {
    if (z.kind === 'infinite' && z.negative !== negative) return nan(format, true);
    return exact(infinityBits(negative, format));
  }
  if (z.kind === 'infinite') return exact(infinityBits(z.negative, format));
  const product = (negative ? -1n : 1n) * x.top * y.top;
  const bottom = x.bottom * y.bottom;
  const sum = product * z.bottom + (z.negative ? -1n : 1n) * z.top * bottom;
  if (sum === 0n) {
    const bothZero = product === 0n && z.top === 0n;
    const minus = bothZero && negative === z.negative ? negative : mode === 2;
    return exact(signed(minus, format));
  }
  return roundTo(sum < 0n, sum < 0n ? -sum : sum, bottom * z.bottom, format, mode);
}

export function multiply(a: bigint, b: bigint, format: Format, mode: Mode): Result {
  const [x, y] = [parse(a, format), parse(b, format)];
  const negative = x.kind !== 'nan' && y.kind !== 'nan' && x.negative !== y.negative;
  const zero = signed(negative, format);
  // adding a zero of the product's own sign changes nothing
  return multiplyAdd(a, b, zero, format, mode);
}

export function divide(a: bigint, b: bigint, format: Format, mode: Mode): Result {
  const [x, y] = [parse(a, format), parse(b, format)];
  if (x.kind === 'nan' || y.kind === 'nan') return nan(format, anySignals(x, y));
  const negative = x.negative !== y.negative;
  if (x.kind === 'infinite') {
    return y.kind === 'infinite' ? nan(format, true) : exact(infinityBits(negative, format));
  }
  if (y.kind === 'infinite') return exact(signed(negative, format));
  if (y.top === 0n) {
    return x.top === 0n ? nan(format, true) : { bits: infinityBits(negative, format), flags: FLAG.DZ };
  }
  if (x.top === 0n) return exact(signed(negative, format));
  return roundTo(negative, x.top * y.bottom, x.bottom * y.top, format, mode);
}

function integerRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let guess = 1n << BigInt((n.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (guess + n / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

export function squareRoot(a: bigint, format: Format, mode: Mode): Result {
  const x = parse(a, format);
  if (x.kind === 'nan') return nan(format, x.signaling);
  if (x.kind === 'finite' && x.top === 0n) return exact(a);
  if (x.negative) return nan(format, true);
  if (x.kind === 'infinite') return exact(a);
  // 200 more bits than needed, and one below them that says whether there is more
  const wide = (x.top << 2400n) / x.bottom;
  const root = integerRoot(wide);
  const more = root * root !== wide ? 1n : 0n;
  return roundTo(false, 2n * root + more, 1n << 1201n, format, mode);
}

export function toFormat(a: bigint, from: Format, to: Format, mode: Mode): Result {
  const x = parse(a, from);
  if (x.kind === 'nan') return nan(to, x.signaling);
  if (x.kind === 'infinite') return exact(infinityBits(x.negative, to));
  if (x.top === 0n) return exact(signed(x.negative, to));
  return roundTo(x.negative, x.top, x.bottom, to, mode);
}

export function fromInteger(value: bigint, to: Format, mode: Mode): Result {
  if (value === 0n) return exact(0n);
  return roundTo(value < 0n, value < 0n ? -value : value, 1n, to, mode);
}

/** The integer that a conversion gives, before it is extended to the register. */
export function toInteger(
  a: bigint,
  format: Format,
  min: bigint,
  max: bigint,
  mode: Mode,
): { value: bigint; flags: number } {
  const x = parse(a, format);
  if (x.kind === 'nan') return { value: max, flags: FLAG.NV };
  if (x.kind === 'infinite') return { value: x.negative ? min : max, flags: FLAG.NV };
  const [magnitude, lost] = divideRounded(x.top, x.bottom, x.negative, mode);
  const value = x.negative ? -magnitude : magnitude;
  if (value < min) return { value: min, flags: FLAG.NV };
  if (value > max) return { value: max, flags: FLAG.NV };
  return { value, flags: lost ? FLAG.NX : 0 };
}

/** -1, 0, 1, or null when one is NaN. */
export function order(a: bigint, b: bigint, format: Format): number | null {
  const [x, y] = [parse(a, format), parse(b, format)];
  if (x.kind === 'nan' || y.kind === 'nan') return null;
  const [p, q] = [comparable(x), comparable(y)];
  const difference = p.top * q.bottom - q.top * p.bottom;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Infinity as a number beyond all others. */
function comparable(value: Exclude<Value, { kind: 'nan' }>): { top: bigint; bottom: bigint } {
  const sign = value.negative ? -1n : 1n;
  return value.kind === 'infinite'
    ? { top: sign << 2000n, bottom: 1n }
    : { top: sign * value.top, bottom: value.bottom };
}

export { anySignals };
