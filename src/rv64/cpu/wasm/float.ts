/**
 * The F and D instructions: registers, NaN boxing, rounding modes and flags around the arithmetic.
 *
 * The host's own arithmetic is used where nothing can tell the difference: rounding to nearest, the inexact flag raised
 * already, and a result that neither overflowed nor is tiny nor NaN. All else is computed in integers.
 */
import { fused, negated, product, quotient, root, sum } from './float-arithmetic';
import { classify, compare, convert, fromInteger, minimumOrMaximum, toInteger } from './float-convert';
import { canonicalNan, clearFlags, FLAG_NX, flags, RNE } from './float-format';
import { cpu } from './host';
import { F, FFLAGS, FRM, FS, X, X_SINK } from './offsets';

const BOX: u64 = 0xffffffff00000000;
const DYNAMIC: u32 = 7;
const MODES: u32 = 5;

@inline function readFloat(n: u32, wide: bool): u64 {
  const bits = load<u64>(cpu + (n << 3), F);
  if (wide) return bits;
  return bits >= BOX ? bits & 0xffffffff : canonicalNan(false);
}

@inline function writeFloat(n: u32, bits: u64, wide: bool): void {
  store<u64>(cpu + (n << 3), wide ? bits : bits | BOX, F);
}

@inline function writeInteger(n: u32, value: u64): void {
  store<u64>(cpu + ((n == 0 ? X_SINK : n) << 3), value, X);
}

@inline function readInteger(n: u32): u64 {
  return load<u64>(cpu + (n << 3), X);
}

/** False: not an instruction (or its rounding mode does not exist). */
export function executeFloat(word: u32): bool {
  const format = (word >>> 25) & 3;
  if (format > 1) return false;
  const wide = format == 1;
  clearFlags();
  const known = (word & 0x7f) == 0x53 ? executeOperation(word, wide) : executeFused(word, wide);
  if (!known) return false;
  store<u32>(cpu, load<u32>(cpu, FFLAGS) | flags, FFLAGS);
  store<u32>(cpu, 3, FS);
  return true;
}

/** The mode that holds; MODES or more when there is none. */
@inline function roundingMode(word: u32): u32 {
  const field = (word >>> 12) & 7;
  return field == DYNAMIC ? load<u32>(cpu, FRM) : field;
}

/** FMADD, FMSUB, FNMSUB, FNMADD. */
function executeFused(word: u32, wide: bool): bool {
  const mode = roundingMode(word);
  if (mode >= MODES) return false;
  const which = (word >>> 2) & 3;
  let a = readFloat((word >>> 15) & 31, wide);
  let c = readFloat(word >>> 27, wide);
  if (which >= 2) a = negated(a, wide);
  if (which == 1 || which == 3) c = negated(c, wide);
  writeFloat((word >>> 7) & 31, fused(a, readFloat((word >>> 20) & 31, wide), c, wide, mode), wide);
  return true;
}

function executeOperation(word: u32, wide: bool): bool {
  const rd = (word >>> 7) & 31;
  const rs1 = (word >>> 15) & 31;
  const rs2 = (word >>> 20) & 31;
  const f3 = (word >>> 12) & 7;
  switch (word >>> 27) {
    case 0x00:
    case 0x01:
    case 0x02:
    case 0x03:
    case 0x0b:
      return executeArithmetic(word, wide);
    case 0x04: // FSGNJ, FSGNJN, FSGNJX
      if (f3 > 2) return false;
      writeFloat(rd, withSign(readFloat(rs1, wide), readFloat(rs2, wide), wide, f3), wide);
      return true;
    case 0x05: // FMIN, FMAX
      if (f3 > 1) return false;
      writeFloat(rd, minimumOrMaximum(readFloat(rs1, wide), readFloat(rs2, wide), wide, f3 == 1), wide);
      return true;
    case 0x08: // FCVT.S.D, FCVT.D.S
      if (rs2 != (wide ? 0 : 1) || roundingMode(word) >= MODES) return false;
      writeFloat(rd, convert(readFloat(rs1, !wide), wide, roundingMode(word)), wide);
      return true;
    case 0x14: // FLE, FLT, FEQ
      if (f3 > 2) return false;
      writeInteger(rd, compare(readFloat(rs1, wide), readFloat(rs2, wide), wide, f3));
      return true;
    case 0x18: // FCVT to integers
      if (rs2 > 3 || roundingMode(word) >= MODES) return false;
      writeInteger(rd, toInteger(readFloat(rs1, wide), wide, (rs2 & 1) == 0, rs2 >= 2, roundingMode(word)));
      return true;
    case 0x1a: // FCVT from integers
      if (rs2 > 3 || roundingMode(word) >= MODES) return false;
      writeFloat(rd, fromInteger(readInteger(rs1), (rs2 & 1) == 0, rs2 >= 2, wide, roundingMode(word)), wide);
      return true;
    case 0x1c: // FMV.X, FCLASS
      if (rs2 != 0 || f3 > 1) return false;
      if (f3 == 1) writeInteger(rd, classify(readFloat(rs1, wide), wide));
      else writeInteger(rd, rawBits(rs1, wide));
      return true;
    case 0x1e: // FMV from integers
      if (rs2 != 0 || f3 != 0) return false;
      writeFloat(rd, wide ? readInteger(rs1) : readInteger(rs1) & 0xffffffff, wide);
      return true;
  }
  return false;
}

/** The register as it is, boxed or not. */
function rawBits(n: u32, wide: bool): u64 {
  const bits = load<u64>(cpu + (n << 3), F);
  return wide ? bits : <u64>(<i64>(<i32>bits));
}

function withSign(a: u64, b: u64, wide: bool, f3: u32): u64 {
  const bit: u64 = wide ? 1 << 63 : 1 << 31;
  const from = f3 == 0 ? b : f3 == 1 ? ~b : a ^ b;
  return (a & ~bit) | (from & bit);
}

/** FADD, FSUB, FMUL, FDIV, FSQRT. */
function executeArithmetic(word: u32, wide: bool): bool {
  const mode = roundingMode(word);
  if (mode >= MODES) return false;
  const which = word >>> 27;
  const rd = (word >>> 7) & 31;
  const a = readFloat((word >>> 15) & 31, wide);
  const b = readFloat((word >>> 20) & 31, wide);
  if (which == 0x0b && ((word >>> 20) & 31) != 0) return false;
  if (mode == RNE && (load<u32>(cpu, FFLAGS) & FLAG_NX) != 0) {
    const quick = wide ? hostDouble(which, a, b) : hostSingle(which, a, b);
    if (wide ? isPlainDouble(quick) : isPlainSingle(quick)) {
      writeFloat(rd, quick, wide);
      return true;
    }
  }
  switch (which) {
    case 0x00:
      writeFloat(rd, sum(a, b, wide, mode), wide);
      break;
    case 0x01:
      writeFloat(rd, difference(a, b, wide, mode), wide);
      break;
    case 0x02:
      writeFloat(rd, product(a, b, wide, mode), wide);
      break;
    case 0x03:
      writeFloat(rd, quotient(a, b, wide, mode), wide);
      break;
    default:
      writeFloat(rd, root(a, wide, mode), wide);
  }
  return true;
}

/** A NaN stays the NaN that it is: turning its sign changes nothing that counts. */
function difference(a: u64, b: u64, wide: bool, mode: u32): u64 {
  return sum(a, negated(b, wide), wide, mode);
}

function hostDouble(which: u32, a: u64, b: u64): u64 {
  const x = reinterpret<f64>(a);
  const y = reinterpret<f64>(b);
  if (which == 0x00) return reinterpret<u64>(x + y);
  if (which == 0x01) return reinterpret<u64>(x - y);
  if (which == 0x02) return reinterpret<u64>(x * y);
  if (which == 0x03) return reinterpret<u64>(x / y);
  return reinterpret<u64>(sqrt<f64>(x));
}

function hostSingle(which: u32, a: u64, b: u64): u64 {
  const x = reinterpret<f32>(<u32>a);
  const y = reinterpret<f32>(<u32>b);
  if (which == 0x00) return <u64>reinterpret<u32>(x + y);
  if (which == 0x01) return <u64>reinterpret<u32>(x - y);
  if (which == 0x02) return <u64>reinterpret<u32>(x * y);
  if (which == 0x03) return <u64>reinterpret<u32>(x / y);
  return <u64>reinterpret<u32>(sqrt<f32>(x));
}

/** Greater than the least normal number, and finite: no flag but inexact can have been due. */
@inline function isPlainDouble(bits: u64): bool {
  const magnitude = bits & 0x7fffffffffffffff;
  return magnitude > 0x0010000000000000 && magnitude < 0x7ff0000000000000;
}

@inline function isPlainSingle(bits: u64): bool {
  const magnitude = bits & 0x7fffffff;
  return magnitude > 0x00800000 && magnitude < 0x7f800000;
}
