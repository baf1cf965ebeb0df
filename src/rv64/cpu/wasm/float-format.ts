/**
 * Floating-point numbers taken apart and put together, with every rounding mode and exact flags.
 *
 *   bits --unpack--> kind, sign, exponent, significand (leading one at bit 63)   value = significand / 2^63 * 2^exponent
 *   exact result, its lost bits gathered in bit 0 --round--> bits, flags
 */

export const FLAG_NX: u32 = 1;
export const FLAG_UF: u32 = 2;
export const FLAG_OF: u32 = 4;
export const FLAG_DZ: u32 = 8;
export const FLAG_NV: u32 = 16;

export const RNE: u32 = 0;
export const RTZ: u32 = 1;
export const RDN: u32 = 2;
export const RUP: u32 = 3;
export const RMM: u32 = 4;

export const ZERO: u32 = 0;
export const FINITE: u32 = 1;
export const INFINITE: u32 = 2;
export const QUIET: u32 = 3;
export const SIGNALING: u32 = 4;

export const TOP: u64 = 1 << 63;

/** Flags that the running instruction raises. */
export let flags: u32 = 0;

export function raiseFlags(more: u32): void {
  flags |= more;
}

export function clearFlags(): void {
  flags = 0;
}

// what unpack() found
export let kind: u32 = 0;
export let sign: u64 = 0;
export let exponent: i32 = 0;
export let significand: u64 = 0;

@inline export function fractionBits(wide: bool): u64 {
  return wide ? 52 : 23;
}

@inline export function maxExponent(wide: bool): i32 {
  return wide ? 1023 : 127;
}

@inline function signBit(wide: bool): u64 {
  return wide ? 63 : 31;
}

@inline function fieldMask(wide: bool): u64 {
  return wide ? 0x7ff : 0xff;
}

export function canonicalNan(wide: bool): u64 {
  return wide ? 0x7ff8000000000000 : 0x7fc00000;
}

export function infinity(wide: bool, negative: u64): u64 {
  return (negative << signBit(wide)) | (fieldMask(wide) << fractionBits(wide));
}

export function zero(wide: bool, negative: u64): u64 {
  return negative << signBit(wide);
}

/** Into kind, sign, exponent, significand. */
export function unpack(bits: u64, wide: bool): void {
  const width = fractionBits(wide);
  const fraction = bits & ((<u64>1 << width) - 1);
  const field = (bits >> width) & fieldMask(wide);
  sign = (bits >> signBit(wide)) & 1;
  if (field == fieldMask(wide)) {
    kind = fraction == 0 ? INFINITE : (fraction >> (width - 1)) != 0 ? QUIET : SIGNALING;
    return;
  }
  if (field == 0) {
    if (fraction == 0) {
      kind = ZERO;
      return;
    }
    const shift = clz(fraction);
    significand = fraction << shift;
    exponent = 1 - maxExponent(wide) + <i32>(63 - width) - <i32>shift;
  } else {
    significand = TOP | (fraction << (63 - width));
    exponent = <i32>field - maxExponent(wide);
  }
  kind = FINITE;
}

/** Shifts right; what falls out is gathered in bit 0. */
export function shiftJam(value: u64, count: i32): u64 {
  if (count <= 0) return value;
  if (count > 63) return <u64>(value != 0);
  return (value >> <u64>count) | <u64>((value << <u64>(64 - count)) != 0);
}

/** Does rounding at bit `drop` go up, by mode? */
function roundsUp(value: u64, drop: u64, negative: u64, mode: u32): bool {
  const rest = value & ((<u64>1 << drop) - 1);
  if (rest == 0) return false;
  const half = <u64>1 << (drop - 1);
  switch (mode) {
    case RNE:
      return rest > half || (rest == half && ((value >> drop) & 1) != 0);
    case RTZ:
      return false;
    case RDN:
      return negative != 0;
    case RUP:
      return negative == 0;
    default:
      return rest >= half;
  }
}

/** `sig` has its leading one at bit 63. */
export function round(negative: u64, exp: i32, sig: u64, wide: bool, mode: u32): u64 {
  const width = fractionBits(wide);
  const drop = 63 - width;
  const low = 1 - maxExponent(wide);
  const lost = sig & ((<u64>1 << drop) - 1);
  let kept = (sig >> drop) + <u64>roundsUp(sig, drop, negative, mode);
  const carried = kept >> (width + 1) != 0;
  if (exp < low) {
    // tiny as seen after rounding with an exponent that has no bounds
    const tiny = exp < low - 1 || !carried;
    const shifted = shiftJam(sig, low - exp);
    kept = (shifted >> drop) + <u64>roundsUp(shifted, drop, negative, mode);
    if ((shifted & ((<u64>1 << drop) - 1)) != 0) raiseFlags(tiny ? FLAG_NX | FLAG_UF : FLAG_NX);
    // a subnormal that rounded up to the least normal number carries into the exponent by itself
    return (negative << signBit(wide)) | kept;
  }
  let top = exp;
  if (carried) {
    kept >>= 1;
    top++;
  }
  if (top > maxExponent(wide)) return overflow(negative, wide, mode);
  if (lost != 0) raiseFlags(FLAG_NX);
  const field = <u64>(top + maxExponent(wide));
  return (negative << signBit(wide)) | ((field - 1 << width) + kept);
}

function overflow(negative: u64, wide: bool, mode: u32): u64 {
  raiseFlags(FLAG_OF | FLAG_NX);
  const away = mode == RNE || mode == RMM || (mode == RUP && negative == 0) || (mode == RDN && negative != 0);
  // the greatest finite number is just below infinity
  return infinity(wide, negative) - <u64>!away;
}

/** For a significand anywhere in the 64 bits; exp is that of bit 63. */
export function normalizeAndRound(negative: u64, exp: i32, sig: u64, wide: bool, mode: u32): u64 {
  if (sig == 0) return zero(wide, negative);
  const shift = clz(sig);
  return round(negative, exp - <i32>shift, sig << shift, wide, mode);
}
