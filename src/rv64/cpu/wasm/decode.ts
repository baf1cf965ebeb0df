/**
 * The decoder: instructions become slots (see ops.ts) whose operands are addresses of registers, ready to be loaded from.
 */
import { offsetOf, ramOf } from './code';
import { expand } from './compressed';
import { markCopyLoop } from './copy-loops';
import { cpu } from './host';
import { F, PAGE, X, X_SINK } from './offsets';
import { Op } from './ops';
import { join } from './sequences';

/** Bytes from a slot to the next instruction's. */
const SHORT: u32 = 16;
const LONG: u32 = 32;
/** Of the operations on cache blocks the one that there is, by its immediate. */
const CBO_ZERO: i32 = 4;
/** So many instructions are decoded ahead at most. */
const AHEAD: u32 = 64;

@inline function put(slot: usize, handler: u32, length: u32, extra: u32, a: u32, b: u32, c: u32): void {
  store<u32>(slot, handler | (length << 16) | (extra << 24));
  store<u32>(slot, a, 4);
  store<u32>(slot, b, 8);
  store<u32>(slot, c, 12);
}

@inline function source(n: u32): u32 {
  return <u32>cpu + X + (n << 3);
}

@inline function target(n: u32): u32 {
  return <u32>cpu + X + ((n === 0 ? X_SINK : n) << 3);
}

@inline function float(n: u32): u32 {
  return <u32>cpu + F + (n << 3);
}

/** The last three slots that were decoded, and how many instructions each one's handler runs. */
let slot1: usize = 0;
let slot2: usize = 0;
let slot3: usize = 0;
let count1: u32 = 0;
let count2: u32 = 0;
let count3: u32 = 0;

/** Decodes from an empty slot on, to the next jump. */
export function decodeFrom(first: usize): void {
  let slot = first;
  let ram = ramOf(slot);
  let at = offsetOf(slot);
  count1 = count2 = count3 = 0;
  for (let i: u32 = 0; i < AHEAD && at < <u32>PAGE; i++) {
    if (load<u16>(slot) !== Op.DECODE) return;
    const low = <u32>load<u16>(ram);
    const isShort = (low & 3) !== 3;
    if (!isShort && at + 4 > <u32>PAGE) {
      put(slot, Op.STRADDLE, LONG, 0, 0, 0, low);
      return;
    }
    const word = isShort ? expand(low) : low | (<u32>load<u16>(ram, 2) << 16);
    const goesOn = decodeOne(slot, word, isShort ? low : word, isShort ? SHORT : LONG, at);
    if (load<u16>(slot) === Op.BLTU) markCopyLoop(slot);
    joinSequences(slot);
    if (!goesOn) return;
    slot += isShort ? SHORT : LONG;
    ram += isShort ? 2 : 4;
    at += isShort ? 2 : 4;
  }
}

/** Makes the handlers before a new slot run its instruction as well, where there are handlers for that. */
function joinSequences(slot: usize): void {
  const next = <u32>load<u16>(slot);
  if (count3 === 3) joinOne(slot3, next);
  if (count2 === 2 && joinOne(slot2, next)) count2 = 3;
  if (count1 === 1 && joinOne(slot1, next)) count1 = 2;
  slot3 = slot2;
  count3 = count2;
  slot2 = slot1;
  count2 = count1;
  slot1 = slot;
  count1 = 1;
}

function joinOne(slot: usize, next: u32): bool {
  const handler = join(<u32>load<u16>(slot), next);
  if (handler === 0) return false;
  store<u16>(slot, <u16>handler);
  return true;
}

/** The last instruction across two pages that was decoded. */
export let straddling: u32 = 0;

/** An instruction across two pages: decoded anew each time. Returns its handler; the slot stays what it is. */
export function decodeStraddling(slot: usize, high: u32): u32 {
  const word = <u32>load<u16>(ramOf(slot)) | (high << 16);
  straddling = word;
  decodeOne(slot, word, word, LONG, offsetOf(slot));
  const handler = <u32>load<u16>(slot);
  store<u16>(slot, Op.STRADDLE);
  return handler;
}

/** True when execution can go on behind it. */
function decodeOne(slot: usize, word: u32, raw: u32, length: u32, at: u32): bool {
  const rd = (word >>> 7) & 31;
  const f3 = (word >>> 12) & 7;
  const rs1 = (word >>> 15) & 31;
  const rs2 = (word >>> 20) & 31;
  const immI = <i32>word >> 20;
  const immS = (<i32>(word & 0xfe000000) >> 20) | <i32>rd;
  let op: u32 = Op.ILLEGAL;
  switch (word & 0x7f) {
    case 0x03: // LOAD
      if (f3 !== 7) op = f3 < 4 ? Op.LB + f3 : Op.LBU + (f3 - 4);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, target(rd), source(rs1), immI);
      return true;
    case 0x07: // LOAD-FP
      if (f3 !== 2 && f3 !== 3) break;
      put(slot, f3 === 2 ? Op.FLW : Op.FLD, length, 0, float(rd), source(rs1), immI);
      return true;
    case 0x0f: // MISC-MEM
      if (f3 === 2) {
        if (rd !== 0 || immI !== CBO_ZERO) break;
        put(slot, Op.CBO_ZERO, length, 0, 0, source(rs1), 0);
        return true;
      }
      if (f3 > 1) break;
      put(slot, f3 === 0 ? Op.FENCE : Op.FENCE_I, length, 0, 0, 0, 0);
      return f3 === 0;
    case 0x13: // OP-IMM
      op = immediateOp(f3, immI, word >>> 26);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, target(rd), source(rs1), f3 === 1 || f3 === 5 ? immI & 63 : immI);
      return true;
    case 0x17: // AUIPC
      put(slot, Op.AUIPC, length, 0, target(rd), 0, word & 0xfffff000);
      return true;
    case 0x1b: // OP-IMM-32
      op = immediateOp32(f3, word >>> 25);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, target(rd), source(rs1), f3 === 0 ? immI : immI & 31);
      return true;
    case 0x23: // STORE
      if (f3 > 3) break;
      put(slot, Op.SB + f3, length, 0, source(rs2), source(rs1), immS);
      return true;
    case 0x27: // STORE-FP
      if (f3 !== 2 && f3 !== 3) break;
      put(slot, f3 === 2 ? Op.FSW : Op.FSD, length, 0, float(rs2), source(rs1), immS);
      return true;
    case 0x2f: // AMO
      if (!decodeAtomic(slot, word, length)) break;
      return true;
    case 0x33: // OP
      op = registerOp(f3, word >>> 25);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, target(rd), source(rs1), source(rs2));
      return true;
    case 0x37: // LUI
      // an ADDI with a longer immediate
      put(slot, Op.ADDI, length, 0, target(rd), source(0), word & 0xfffff000);
      return true;
    case 0x3b: // OP-32
      op = registerOp32(f3, word >>> 25);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, target(rd), source(rs1), source(rs2));
      return true;
    case 0x43: // FMADD, FMSUB, FNMSUB, FNMADD, OP-FP
    case 0x47:
    case 0x4b:
    case 0x4f:
    case 0x53:
      put(slot, Op.FP, length, 0, 0, 0, word);
      return true;
    case 0x63: // BRANCH
      if (f3 === 2 || f3 === 3) break;
      decodeBranch(slot, word, f3, rs1, rs2, length, at);
      return true;
    case 0x67: // JALR
      if (f3 !== 0) break;
      put(slot, rd === 0 ? Op.JR : Op.JALR, length, 0, target(rd), source(rs1), immI);
      return false;
    case 0x6f: // JAL
      decodeJump(slot, word, rd, length, at);
      return false;
    case 0x73: // SYSTEM
      op = systemOp(word, f3);
      if (op === Op.ILLEGAL) break;
      put(slot, op, length, 0, 0, 0, word);
      return op === Op.CSR;
  }
  put(slot, Op.ILLEGAL, length, 0, 0, 0, raw);
  return false;
}

function immediateOp(f3: u32, imm: i32, f6: u32): u32 {
  switch (f3) {
    case 0:
      return Op.ADDI;
    case 1:
      return f6 === 0 ? Op.SLLI : Op.ILLEGAL;
    case 2:
      return Op.SLTI;
    case 3:
      return Op.SLTIU;
    case 4:
      return Op.XORI;
    case 5:
      return f6 === 0 ? Op.SRLI : f6 === 0x10 ? Op.SRAI : Op.ILLEGAL;
    case 6:
      return Op.ORI;
    default:
      return Op.ANDI;
  }
}

function immediateOp32(f3: u32, f7: u32): u32 {
  if (f3 === 0) return Op.ADDIW;
  if (f3 === 1) return f7 === 0 ? Op.SLLIW : Op.ILLEGAL;
  if (f3 !== 5) return Op.ILLEGAL;
  return f7 === 0 ? Op.SRLIW : f7 === 0x20 ? Op.SRAIW : Op.ILLEGAL;
}

function registerOp(f3: u32, f7: u32): u32 {
  if (f7 === 1) return Op.MUL + f3;
  if (f7 === 0x20) return f3 === 0 ? Op.SUB : f3 === 5 ? Op.SRA : Op.ILLEGAL;
  if (f7 !== 0) return Op.ILLEGAL;
  switch (f3) {
    case 0:
      return Op.ADD;
    case 1:
      return Op.SLL;
    case 2:
      return Op.SLT;
    case 3:
      return Op.SLTU;
    case 4:
      return Op.XOR;
    case 5:
      return Op.SRL;
    case 6:
      return Op.OR;
    default:
      return Op.AND;
  }
}

function registerOp32(f3: u32, f7: u32): u32 {
  if (f7 === 1) return f3 === 0 ? Op.MULW : f3 < 4 ? Op.ILLEGAL : Op.DIVW + (f3 - 4);
  if (f7 === 0) return f3 === 0 ? Op.ADDW : f3 === 1 ? Op.SLLW : f3 === 5 ? Op.SRLW : Op.ILLEGAL;
  if (f7 === 0x20) return f3 === 0 ? Op.SUBW : f3 === 5 ? Op.SRAW : Op.ILLEGAL;
  return Op.ILLEGAL;
}

/** extra: the function's five bits, and 32 for doublewords. */
function decodeAtomic(slot: usize, word: u32, length: u32): bool {
  const f3 = (word >>> 12) & 7;
  const f5 = word >>> 27;
  const rs2 = (word >>> 20) & 31;
  if (f3 !== 2 && f3 !== 3) return false;
  if (f5 > 4 && (f5 & 3) !== 0) return false;
  if (f5 === 2 && rs2 !== 0) return false;
  const extra = f5 | (f3 === 3 ? 32 : 0);
  const op: u32 = f5 === 2 ? Op.LR : f5 === 3 ? Op.SC : Op.AMO;
  put(slot, op, length, extra, target((word >>> 7) & 31), source((word >>> 15) & 31), source(rs2));
  return true;
}

/** Within the page: c is the distance between slots. Out of it: in bytes. */
function decodeBranch(slot: usize, word: u32, f3: u32, rs1: u32, rs2: u32, length: u32, at: u32): void {
  const imm =
    (<i32>(word & 0x80000000) >> 19) |
    <i32>(((word >>> 7) & 1) << 11) |
    <i32>(((word >>> 25) & 0x3f) << 5) |
    <i32>(((word >>> 8) & 15) << 1);
  const index = f3 < 2 ? f3 : f3 - 2;
  if (<u32>(<i32>at + imm) >= <u32>PAGE) {
    put(slot, Op.BEQ_FAR + index, length, 0, source(rs2), source(rs1), imm);
  } else {
    put(slot, Op.BEQ + index, length, 0, source(rs2), source(rs1), imm << 3);
  }
}

function decodeJump(slot: usize, word: u32, rd: u32, length: u32, at: u32): void {
  const imm =
    (<i32>(word & 0x80000000) >> 11) |
    <i32>(word & 0xff000) |
    <i32>(((word >>> 20) & 1) << 11) |
    <i32>(((word >>> 21) & 0x3ff) << 1);
  if (<u32>(<i32>at + imm) >= <u32>PAGE) put(slot, Op.JAL_FAR, length, 0, target(rd), 0, imm);
  else put(slot, rd === 0 ? Op.J : Op.JAL, length, 0, target(rd), 0, imm << 3);
}

function systemOp(word: u32, f3: u32): u32 {
  if (f3 === 4) return Op.ILLEGAL;
  if (f3 !== 0) return Op.CSR;
  if (word === 0x00000073) return Op.ECALL;
  if (word === 0x00100073) return Op.EBREAK;
  if (word === 0x10200073) return Op.SRET;
  if (word === 0x10500073) return Op.WFI;
  return (word & 0xfe007fff) === 0x12000073 ? Op.SFENCE : Op.ILLEGAL;
}
