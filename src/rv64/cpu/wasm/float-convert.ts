/** Conversions, comparisons and classes of floating-point numbers. */
import {
  canonicalNan,
  exponent,
  FINITE,
  FLAG_NV,
  FLAG_NX,
  INFINITE,
  infinity,
  kind,
  normalizeAndRound,
  QUIET,
  raiseFlags,
  RDN,
  RMM,
  RNE,
  round,
  RUP,
  shiftJam,
  sign,
  SIGNALING,
  significand,
  TOP,
  unpack,
  ZERO,
  zero,
} from './float-format';

/** The largest (or smallest) integer, as a register shows it. */
function saturated(negative: bool, isSigned: bool, is64: bool): u64 {
  raiseFlags(FLAG_NV);
  if (!isSigned) return negative ? 0 : <u64>-1;
  if (is64) return negative ? TOP : TOP - 1;
  return negative ? 0xffffffff80000000 : 0x7fffffff;
}

function goesUp(rest: u64, odd: bool, mode: u32): bool {
  if (rest == 0) return false;
  if (mode == RNE) return rest > TOP || (rest == TOP && odd);
  if (mode == RMM) return rest >= TOP;
  return sign != 0 ? mode == RDN : mode == RUP;
}

export function toInteger(bits: u64, wide: bool, isSigned: bool, is64: bool, mode: u32): u64 {
  unpack(bits, wide);
  if (kind >= QUIET) return saturated(false, isSigned, is64);
  if (kind == ZERO) return 0;
  const negative = sign != 0;
  if (kind == INFINITE || exponent > 63) return saturated(negative, isSigned, is64);
  // the part below one, with its half at bit 63
  const drop = 63 - exponent;
  let whole: u64 = 0;
  let rest: u64 = 0;
  if (drop < 64) whole = significand >> <u64>drop;
  if (drop >= 64) rest = shiftJam(significand, drop - 64);
  else if (drop != 0) rest = significand << <u64>(64 - drop);
  if (goesUp(rest, (whole & 1) != 0, mode)) {
    whole++;
    if (whole == 0) return saturated(negative, isSigned, is64);
  }
  if (whole > limit(negative, isSigned, is64)) return saturated(negative, isSigned, is64);
  if (rest != 0) raiseFlags(FLAG_NX);
  const value = negative ? 0 - whole : whole;
  return is64 ? value : <u64>(<i64>(<i32>value));
}

/** The largest magnitude that fits. */
function limit(negative: bool, isSigned: bool, is64: bool): u64 {
  if (!isSigned) return negative ? 0 : is64 ? <u64>-1 : 0xffffffff;
  const most: u64 = is64 ? TOP : 0x80000000;
  return negative ? most : most - 1;
}

export function fromInteger(value: u64, isSigned: bool, is64: bool, wide: bool, mode: u32): u64 {
  let magnitude = value;
  let negative: u64 = 0;
  if (!is64) magnitude = isSigned ? <u64>(<i64>(<i32>value)) : <u64>(<u32>value);
  if (isSigned && <i64>magnitude < 0) {
    negative = 1;
    magnitude = 0 - magnitude;
  }
  return normalizeAndRound(negative, 63, magnitude, wide, mode);
}

export function convert(bits: u64, toWide: bool, mode: u32): u64 {
  unpack(bits, !toWide);
  if (kind == SIGNALING) raiseFlags(FLAG_NV);
  if (kind >= QUIET) return canonicalNan(toWide);
  if (kind == INFINITE) return infinity(toWide, sign);
  if (kind == ZERO) return zero(toWide, sign);
  return round(sign, exponent, significand, toWide, mode);
}

export function classify(bits: u64, wide: bool): u64 {
  unpack(bits, wide);
  const negative = sign != 0;
  switch (kind) {
    case ZERO:
      return negative ? 1 << 3 : 1 << 4;
    case INFINITE:
      return negative ? 1 << 0 : 1 << 7;
    case SIGNALING:
      return 1 << 8;
    case QUIET:
      return 1 << 9;
  }
  const least = wide ? -1022 : -126;
  const subnormal = exponent < least;
  if (negative) return subnormal ? 1 << 2 : 1 << 1;
  return subnormal ? 1 << 5 : 1 << 6;
}

/** As an integer that orders like the number; both zeros are 0. Not for NaNs. */
function ordered(bits: u64, wide: bool): i64 {
  const magnitude = <i64>(wide ? bits & ~TOP : bits & 0x7fffffff);
  return (wide ? bits >> 63 : (bits >> 31) & 1) != 0 ? -magnitude : magnitude;
}

/** How many of the two are NaN; invalid when one signals, or when any counts. */
function nans(a: u64, b: u64, wide: bool, anyIsInvalid: bool): u32 {
  let count: u32 = 0;
  let bad = false;
  unpack(a, wide);
  if (kind >= QUIET) count++;
  if (kind == SIGNALING) bad = true;
  unpack(b, wide);
  if (kind >= QUIET) count++;
  if (kind == SIGNALING) bad = true;
  if (bad || (anyIsInvalid && count != 0)) raiseFlags(FLAG_NV);
  return count;
}

/** f3 of the instruction: 0 less or equal, 1 less, 2 equal. */
export function compare(a: u64, b: u64, wide: bool, f3: u32): u64 {
  if (nans(a, b, wide, f3 != 2) != 0) return 0;
  const x = ordered(a, wide);
  const y = ordered(b, wide);
  return <u64>(f3 == 0 ? x <= y : f3 == 1 ? x < y : x == y);
}

export function minimumOrMaximum(a: u64, b: u64, wide: bool, greatest: bool): u64 {
  if (nans(a, b, wide, false) != 0) {
    unpack(a, wide);
    if (kind <= INFINITE) return a;
    unpack(b, wide);
    return kind <= INFINITE ? b : canonicalNan(wide);
  }
  const x = ordered(a, wide);
  const y = ordered(b, wide);
  // of two zeros the negative one is the lesser
  const aIsLess = x < y || (x == y && (wide ? a >> 63 : a >> 31) != 0);
  return aIsLess != greatest ? a : b;
}
