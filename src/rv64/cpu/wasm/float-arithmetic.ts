/** Sum, product, quotient, root and fused multiply-add in integer arithmetic. */
import {
  canonicalNan,
  exponent,
  FLAG_DZ,
  FLAG_NV,
  INFINITE,
  infinity,
  kind,
  normalizeAndRound,
  QUIET,
  raiseFlags,
  RDN,
  round,
  shiftJam,
  sign,
  SIGNALING,
  significand,
  TOP,
  unpack,
  ZERO,
  zero,
} from './float-format';
import { multiplyHighUnsigned } from './integer';

function invalid(wide: bool): u64 {
  raiseFlags(FLAG_NV);
  return canonicalNan(wide);
}

function nan(kindA: u32, kindB: u32, wide: bool): u64 {
  if (kindA == SIGNALING || kindB == SIGNALING) raiseFlags(FLAG_NV);
  return canonicalNan(wide);
}

/** a + b; for a - b the caller turns b's sign. */
export function sum(a: u64, b: u64, wide: bool, mode: u32): u64 {
  unpack(a, wide);
  const kindA = kind;
  const signA = sign;
  const expA = exponent;
  const sigA = significand;
  unpack(b, wide);
  const kindB = kind;
  const signB = sign;
  if (kindA >= QUIET || kindB >= QUIET) return nan(kindA, kindB, wide);
  if (kindA == INFINITE) return kindB == INFINITE && signA != signB ? invalid(wide) : a;
  if (kindB == INFINITE) return b;
  if (kindA == ZERO) {
    if (kindB != ZERO) return b;
    return signA == signB ? a : zero(wide, <u64>(mode == RDN));
  }
  if (kindB == ZERO) return a;
  // one bit of room for the carry
  const shift = expA - exponent;
  const top = (shift >= 0 ? expA : exponent) + 1;
  const x = shiftJam(sigA >> 1, -shift);
  const y = shiftJam(significand >> 1, shift);
  if (signA == signB) return normalizeAndRound(signA, top, x + y, wide, mode);
  if (x == y) return zero(wide, <u64>(mode == RDN));
  return x > y
    ? normalizeAndRound(signA, top, x - y, wide, mode)
    : normalizeAndRound(signB, top, y - x, wide, mode);
}

export function product(a: u64, b: u64, wide: bool, mode: u32): u64 {
  unpack(a, wide);
  const kindA = kind;
  const expA = exponent;
  const sigA = significand;
  let negative = sign;
  unpack(b, wide);
  negative ^= sign;
  if (kindA >= QUIET || kind >= QUIET) return nan(kindA, kind, wide);
  if (kindA == INFINITE || kind == INFINITE) {
    return kindA == ZERO || kind == ZERO ? invalid(wide) : infinity(wide, negative);
  }
  if (kindA == ZERO || kind == ZERO) return zero(wide, negative);
  const high = multiplyHighUnsigned(sigA, significand);
  const sticky = <u64>(sigA * significand != 0);
  return normalizeAndRound(negative, expA + exponent + 1, high | sticky, wide, mode);
}

export function quotient(a: u64, b: u64, wide: bool, mode: u32): u64 {
  unpack(a, wide);
  const kindA = kind;
  const expA = exponent;
  const sigA = significand;
  let negative = sign;
  unpack(b, wide);
  negative ^= sign;
  if (kindA >= QUIET || kind >= QUIET) return nan(kindA, kind, wide);
  if (kindA == INFINITE) return kind == INFINITE ? invalid(wide) : infinity(wide, negative);
  if (kind == INFINITE) return zero(wide, negative);
  if (kind == ZERO) {
    if (kindA == ZERO) return invalid(wide);
    raiseFlags(FLAG_DZ);
    return infinity(wide, negative);
  }
  if (kindA == ZERO) return zero(wide, negative);
  // bit by bit: both significands in [2^62, 2^63), so that the remainder never overflows
  const divisor = significand >> 1;
  let rest = sigA >> 1;
  let digits: u64 = 0;
  for (let i = 0; i < 62; i++) {
    digits <<= 1;
    if (rest >= divisor) {
      rest -= divisor;
      digits |= 1;
    }
    rest <<= 1;
  }
  const sig = (digits << 2) | <u64>(rest != 0);
  return normalizeAndRound(negative, expA - exponent, sig, wide, mode);
}

export function root(a: u64, wide: bool, mode: u32): u64 {
  unpack(a, wide);
  if (kind >= QUIET) return nan(kind, kind, wide);
  if (kind == ZERO) return a;
  if (sign != 0) return invalid(wide);
  if (kind == INFINITE) return a;
  // value = s * 2^e with e even and s in [1, 4), here with its binary point before bit 61
  const odd = exponent & 1;
  let rest: u64 = odd != 0 ? significand >> 1 : significand >> 2;
  // digit by digit: found * found <= value, 2 bits of the radicand for each bit of the root
  let found: u64 = 0;
  let bit: u64 = 1 << 61;
  // classic restoring root on rest scaled as we go: rest is compared with 2 * found + bit
  for (let i = 0; i < 60; i++) {
    const trial = (found << 1) | bit;
    if (rest >= trial) {
      rest -= trial;
      found |= bit;
    }
    rest <<= 1;
    bit >>= 1;
  }
  return normalizeAndRound(0, (exponent - odd) / 2 + 2, found | <u64>(rest != 0), wide, mode);
}

/** a * b + c with one rounding; signs of product and addend are turned by the caller. */
export function fused(a: u64, b: u64, c: u64, wide: bool, mode: u32): u64 {
  unpack(a, wide);
  const kindA = kind;
  const expA = exponent;
  const sigA = significand;
  let negative = sign;
  unpack(b, wide);
  const kindB = kind;
  const expB = exponent;
  const sigB = significand;
  negative ^= sign;
  unpack(c, wide);
  const anySignaling = kindA == SIGNALING || kindB == SIGNALING || kind == SIGNALING;
  if ((kindA == INFINITE && kindB == ZERO) || (kindA == ZERO && kindB == INFINITE)) return invalid(wide);
  if (kindA >= QUIET || kindB >= QUIET || kind >= QUIET) return nan(anySignaling ? SIGNALING : QUIET, QUIET, wide);
  if (kindA == INFINITE || kindB == INFINITE) {
    return kind == INFINITE && sign != negative ? invalid(wide) : infinity(wide, negative);
  }
  if (kind == INFINITE) return c;
  if (kindA == ZERO || kindB == ZERO) {
    if (kind != ZERO) return c;
    return sign == negative ? c : zero(wide, <u64>(mode == RDN));
  }
  const high = multiplyHighUnsigned(sigA, sigB);
  const low = sigA * sigB;
  if (kind == ZERO) {
    const exact = high | <u64>(low != 0);
    return normalizeAndRound(negative, expA + expB + 1, exact, wide, mode);
  }
  return addWide(negative, expA + expB + 1, high, low, sign, exponent, significand, wide, mode);
}

/** The sum of a 128-bit product and an addend. Exponents are those of the top bits. */
function addWide(
  signP: u64,
  expP: i32,
  high: u64,
  low: u64,
  signC: u64,
  expC: i32,
  sigC: u64,
  wide: bool,
  mode: u32,
): u64 {
  // a bit of room for the carry
  let pHigh = high >> 1;
  let pLow = (low >> 1) | (high << 63) | (low & 1);
  let cHigh = sigC >> 1;
  let cLow = sigC << 63;
  const shift = expP - expC;
  const top = (shift >= 0 ? expP : expC) + 1;
  if (shift > 0) {
    const jammed = jamLow(cHigh, cLow, shift);
    cHigh = shiftPlain(cHigh, shift);
    cLow = jammed;
  } else if (shift < 0) {
    const jammed = jamLow(pHigh, pLow, -shift);
    pHigh = shiftPlain(pHigh, -shift);
    pLow = jammed;
  }
  if (signP == signC) {
    const sumLow = pLow + cLow;
    return roundWide(signP, top, pHigh + cHigh + <u64>(sumLow < pLow), sumLow, wide, mode);
  }
  if (pHigh == cHigh && pLow == cLow) return zero(wide, <u64>(mode == RDN));
  if (pHigh > cHigh || (pHigh == cHigh && pLow > cLow)) {
    return roundWide(signP, top, pHigh - cHigh - <u64>(pLow < cLow), pLow - cLow, wide, mode);
  }
  return roundWide(signC, top, cHigh - pHigh - <u64>(cLow < pLow), cLow - pLow, wide, mode);
}

function shiftPlain(value: u64, count: i32): u64 {
  return count > 63 ? 0 : value >> <u64>count;
}

/** The low half of a 128-bit value shifted right, what falls out gathered in bit 0. */
function jamLow(high: u64, low: u64, count: i32): u64 {
  if (count > 127) return <u64>((high | low) != 0);
  if (count == 64) return high | <u64>(low != 0);
  if (count > 64) return shiftJam(high, count - 64) | <u64>(low != 0);
  return shiftJam(low, count) | (high << <u64>(64 - count));
}

function roundWide(negative: u64, exp: i32, high: u64, low: u64, wide: bool, mode: u32): u64 {
  if (high == 0) return normalizeAndRound(negative, exp - 64, low, wide, mode);
  const shift = clz(high);
  let top = high << shift;
  let rest = low;
  if (shift != 0) {
    top |= low >> (64 - shift);
    rest = low << shift;
  }
  return round(negative, exp - <i32>shift, top | <u64>(rest != 0), wide, mode);
}

/** For the caller that turns signs. */
export function negated(bits: u64, wide: bool): u64 {
  return wide ? bits ^ TOP : bits ^ 0x80000000;
}
