/**
 * The interpreter's loop: one switch over the handlers of decoded slots.
 *
 *   op     the slot being executed             delta   pc = delta + op / 8, as long as the page stays the same
 *   left   instructions that may still run     tlb     TLBs of the current privilege
 *
 * A case ends with `continue` (op and handler are the next instruction's) or with `break`, with `then` saying why:
 * a jump to `target` that leaves the page, a fault at op, or the end of the slice behind op.
 *
 * The build adds cases for sequences of instructions (scripts/rv64-core-sequences.mjs), put together from these: a case
 * that others may follow ends with exactly the three lines that go to the next slot.
 */
import { executeAtomic, loadReserved, storeConditional } from './atomics';
import { fenceCode, fetchSlots, ramOf } from './code';
import { CSR_CONTEXT, CSR_DONE, CSR_ILLEGAL, executeCsr, setSliceEnd, sliceEnd } from './csr';
import { decodeFrom, decodeStraddling, straddling } from './decode';
import { executeFloat } from './float';
import { cpu, ramBytes } from './host';
import { divide, multiplyHigh, multiplyHighSignedUnsigned, multiplyHighUnsigned, remainder } from './integer';
import { FETCH, flushPage, flushTlb, loadSlow, physical, storeSlow, tlbContext } from './mmu';
import {
  FENCE_WORD,
  FS,
  INSTRET,
  PAGE,
  PC,
  PRIVILEGE,
  PRIVILEGE_S,
  RAM_BASE,
  RUN_ECALL,
  RUN_WFI,
  SIE,
  TLB_DATA_ENTRIES,
  TLB_FETCH_ENTRIES,
  TLB_FETCHES,
  TLB_STORES,
  X,
} from './offsets';
import { Op } from './ops';
import {
  CAUSE_BREAKPOINT,
  CAUSE_ECALL_U,
  CAUSE_FETCH_ACCESS,
  CAUSE_ILLEGAL,
  fault,
  pendingInterrupts,
  raise,
  returnFromTrap,
  takeFault,
} from './trap';

const THEN_JUMP: u32 = 0;
const THEN_FAULT: u32 = 1;
const THEN_LEAVE: u32 = 2;
/** The handlers of traps have set PC and privilege. */
const THEN_RESUME: u32 = 3;
/** In the middle of a sequence the budget was used up. */
const THEN_STOP: u32 = 4;

export const KEEP_RUNNING: u32 = 0xffff;
/** Why the last slice ended, when the host has to hear of it: RUN_*, or KEEP_RUNNING. */
export let exit: u32 = KEEP_RUNNING;

/** Value of the register whose address is operand a (stores, branches: rs2). */
@inline function ra(op: usize): u64 {
  return load<u64>(load<u32>(op, 4));
}
@inline function rb(op: usize): u64 {
  return load<u64>(load<u32>(op, 8));
}
@inline function rc(op: usize): u64 {
  return load<u64>(load<u32>(op, 12));
}
@inline function imm(op: usize): u64 {
  return <u64>(<i64>load<i32>(op, 12));
}
@inline function step(op: usize): u32 {
  return <u32>load<u8>(op, 2);
}
@inline function handler(op: usize): u32 {
  return <u32>load<u16>(op);
}
@inline function set(op: usize, value: u64): void {
  store<u64>(load<u32>(op, 4), value);
}
@inline function word(value: u64): u64 {
  return <u64>(<i64>(<i32>value));
}
@inline function entryOf(tlb: usize, va: u64): usize {
  return tlb + (((<u32>va) >>> 8) & ((TLB_DATA_ENTRIES - 1) << 4));
}
/** Page and alignment in one comparison: what is left over of a misaligned address never equals a tag. */
@inline function hit(entry: usize, va: u64, size: u64): bool {
  return load<u64>(entry) === (va & (~(<u64>PAGE - 1) | (size - 1)));
}
@inline function host(entry: usize, va: u64): usize {
  return <usize>(<u32>va + load<u32>(entry, 8));
}
/** A single in a register of doubles. */
const BOX: u64 = 0xffffffff00000000;

@inline function pcOf(delta: u64, op: usize): u64 {
  return delta + <u64>(op >>> 3);
}

/** A faulting instruction uses up budget, so that a trap loop ends, but does not count as retired. */
function notRetired(): void {
  store<u64>(cpu, load<u64>(cpu, INSTRET) - 1, INSTRET);
  setSliceEnd(sliceEnd - 1);
}

/** sfence.vma: of one address, or of all of them. There are no address space identifiers. */
function fenceTranslations(word: u32): void {
  const rs1 = (word >>> 15) & 31;
  if (rs1 === 0) flushTlb();
  else flushPage(load<u64>(cpu + (rs1 << 3), X));
}

/** The instruction of the slot being executed, from RAM. */
function fetched(op: usize): u64 {
  const at = ramOf(op);
  const low = <u32>load<u16>(at);
  if ((low & 3) !== 3) return <u64>low;
  if ((at & (PAGE - 1)) === PAGE - 2) return <u64>straddling;
  return <u64>(low | (<u32>load<u16>(at, 2) << 16));
}

/** Runs at most `budget` instructions from PC on; returns how many were left over. */
export function execute(budget: i32): i32 {
  let left = budget;
  setSliceEnd(load<u64>(cpu, INSTRET) + <u64>budget);
  exit = KEEP_RUNNING;
  let tlb = tlbContext();
  let target = load<u64>(cpu, PC);
  let then: u32 = THEN_JUMP;
  let op: usize = 0;
  let h: u32 = Op.PAGE_END;
  let delta: u64 = target;
  // the first jump goes through PAGE_END, which counts as no instruction
  while (true) {
    if (--left < 0) {
      target = pcOf(delta, op);
      break;
    }
    switch (h) {
      case Op.DECODE:
        left++;
        decodeFrom(op);
        h = handler(op);
        continue;
      case Op.PAGE_END:
        left++;
        target = pcOf(delta, op);
        then = THEN_JUMP;
        break;
      case Op.STRADDLE: {
        const at = pcOf(delta, op) + 2;
        const pa = physical(at, FETCH);
        if (fault === 0 && pa - <u64>RAM_BASE >= <u64>ramBytes) raise(CAUSE_FETCH_ACCESS, at);
        if (fault !== 0) {
          then = THEN_FAULT;
          break;
        }
        left++;
        h = decodeStraddling(op, <u32>load<u16>(<usize>(pa - <u64>RAM_BASE)));
        continue;
      }
      case Op.AUIPC:
        set(op, pcOf(delta, op) + imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.JAL:
        set(op, pcOf(delta, op) + <u64>(step(op) >>> 3));
        op += load<u32>(op, 12);
        h = handler(op);
        continue;
      case Op.J:
        op += load<u32>(op, 12);
        h = handler(op);
        continue;
      case Op.JAL_FAR:
        target = pcOf(delta, op) + imm(op);
        set(op, pcOf(delta, op) + <u64>(step(op) >>> 3));
        then = THEN_JUMP;
        break;
      case Op.JALR:
        target = (rb(op) + imm(op)) & ~1;
        set(op, pcOf(delta, op) + <u64>(step(op) >>> 3));
        then = THEN_JUMP;
        break;
      case Op.JR:
        target = (rb(op) + imm(op)) & ~1;
        then = THEN_JUMP;
        break;
      case Op.BEQ:
        if (rb(op) === ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BNE:
        if (rb(op) !== ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLT:
        if (<i64>rb(op) < <i64>ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGE:
        if (<i64>rb(op) >= <i64>ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLTU:
        if (rb(op) < ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGEU:
        if (rb(op) >= ra(op)) {
          op += load<u32>(op, 12);
          h = handler(op);
          continue;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BEQ_FAR:
        if (rb(op) === ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BNE_FAR:
        if (rb(op) !== ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLT_FAR:
        if (<i64>rb(op) < <i64>ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGE_FAR:
        if (<i64>rb(op) >= <i64>ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLTU_FAR:
        if (rb(op) < ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGEU_FAR:
        if (rb(op) >= ra(op)) {
          target = pcOf(delta, op) + imm(op);
          then = THEN_JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.LB: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 1)) {
          set(op, <u64>(<i64>load<i8>(host(entry, va))));
        } else {
          const value = loadSlow(va, 1);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, <u64>(<i64>(<i8>value)));
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LH: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 2)) {
          set(op, <u64>(<i64>load<i16>(host(entry, va))));
        } else {
          const value = loadSlow(va, 2);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, <u64>(<i64>(<i16>value)));
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LW: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 4)) {
          set(op, <u64>(<i64>load<i32>(host(entry, va))));
        } else {
          const value = loadSlow(va, 4);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, <u64>(<i64>(<i32>value)));
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LD: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 8)) {
          set(op, load<u64>(host(entry, va)));
        } else {
          const value = loadSlow(va, 8);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LBU: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 1)) {
          set(op, <u64>load<u8>(host(entry, va)));
        } else {
          const value = loadSlow(va, 1);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LHU: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 2)) {
          set(op, <u64>load<u16>(host(entry, va)));
        } else {
          const value = loadSlow(va, 2);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.LWU: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 4)) {
          set(op, <u64>load<u32>(host(entry, va)));
        } else {
          const value = loadSlow(va, 4);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FLW: {
        if (load<u32>(cpu, FS) === 0) {
          raise(CAUSE_ILLEGAL, fetched(op));
          then = THEN_FAULT;
          break;
        }
        store<u32>(cpu, 3, FS);
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 4)) {
          set(op, BOX | <u64>load<u32>(host(entry, va)));
        } else {
          const value = loadSlow(va, 4);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, BOX | value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FLD: {
        if (load<u32>(cpu, FS) === 0) {
          raise(CAUSE_ILLEGAL, fetched(op));
          then = THEN_FAULT;
          break;
        }
        store<u32>(cpu, 3, FS);
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 8)) {
          set(op, load<u64>(host(entry, va)));
        } else {
          const value = loadSlow(va, 8);
          if (fault !== 0) {
            then = THEN_FAULT;
            break;
          }
          set(op, value);
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.SB: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 1)) {
          store<u8>(host(entry, va), <u8>ra(op));
        } else if (storeSlow(va, 1, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.SH: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 2)) {
          store<u16>(host(entry, va), <u16>ra(op));
        } else if (storeSlow(va, 2, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.SW: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 4)) {
          store<u32>(host(entry, va), <u32>ra(op));
        } else if (storeSlow(va, 4, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.SD: {
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 8)) {
          store<u64>(host(entry, va), ra(op));
        } else if (storeSlow(va, 8, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FSW: {
        if (load<u32>(cpu, FS) === 0) {
          raise(CAUSE_ILLEGAL, fetched(op));
          then = THEN_FAULT;
          break;
        }
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 4)) {
          store<u32>(host(entry, va), <u32>ra(op));
        } else if (storeSlow(va, 4, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FSD: {
        if (load<u32>(cpu, FS) === 0) {
          raise(CAUSE_ILLEGAL, fetched(op));
          then = THEN_FAULT;
          break;
        }
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 8)) {
          store<u64>(host(entry, va), ra(op));
        } else if (storeSlow(va, 8, ra(op))) {
          then = fault !== 0 ? THEN_FAULT : THEN_LEAVE;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.ADDI:
        set(op, rb(op) + imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLTI:
        set(op, <u64>(<i64>rb(op) < <i64>imm(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLTIU:
        set(op, <u64>(rb(op) < imm(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.XORI:
        set(op, rb(op) ^ imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.ORI:
        set(op, rb(op) | imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.ANDI:
        set(op, rb(op) & imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLLI:
        set(op, rb(op) << imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRLI:
        set(op, rb(op) >> imm(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRAI:
        set(op, <u64>(<i64>rb(op) >> <i64>imm(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.ADD:
        set(op, rb(op) + rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SUB:
        set(op, rb(op) - rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLL:
        set(op, rb(op) << (rc(op) & 63));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLT:
        set(op, <u64>(<i64>rb(op) < <i64>rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLTU:
        set(op, <u64>(rb(op) < rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.XOR:
        set(op, rb(op) ^ rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRL:
        set(op, rb(op) >> (rc(op) & 63));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRA:
        set(op, <u64>(<i64>rb(op) >> (<i64>rc(op) & 63)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.OR:
        set(op, rb(op) | rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.AND:
        set(op, rb(op) & rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.ADDIW:
        set(op, word(rb(op) + imm(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLLIW:
        set(op, word(rb(op) << imm(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRLIW:
        set(op, word(<u64>(<u32>rb(op) >>> load<u32>(op, 12))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRAIW:
        set(op, <u64>(<i64>(<i32>rb(op) >> load<i32>(op, 12))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.ADDW:
        set(op, word(rb(op) + rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SUBW:
        set(op, word(rb(op) - rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SLLW:
        set(op, word(rb(op) << (rc(op) & 31)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRLW:
        set(op, word(<u64>(<u32>rb(op) >>> (<u32>rc(op) & 31))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.SRAW:
        set(op, <u64>(<i64>(<i32>rb(op) >> (<i32>rc(op) & 31))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.MUL:
        set(op, rb(op) * rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.MULH:
        set(op, multiplyHigh(rb(op), rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.MULHSU:
        set(op, multiplyHighSignedUnsigned(rb(op), rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.MULHU:
        set(op, multiplyHighUnsigned(rb(op), rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.DIV:
        set(op, divide(rb(op), rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.DIVU:
        set(op, rc(op) === 0 ? <u64>-1 : rb(op) / rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.REM:
        set(op, remainder(rb(op), rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.REMU:
        set(op, rc(op) === 0 ? rb(op) : rb(op) % rc(op));
        op += step(op);
        h = handler(op);
        continue;
      case Op.MULW:
        set(op, word(rb(op) * rc(op)));
        op += step(op);
        h = handler(op);
        continue;
      case Op.DIVW:
        set(op, word(divide(word(rb(op)), word(rc(op)))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.DIVUW:
        set(op, <u32>rc(op) === 0 ? <u64>-1 : word(<u64>(<u32>rb(op) / <u32>rc(op))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.REMW:
        set(op, remainder(word(rb(op)), word(rc(op))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.REMUW:
        set(op, <u32>rc(op) === 0 ? word(rb(op)) : word(<u64>(<u32>rb(op) % <u32>rc(op))));
        op += step(op);
        h = handler(op);
        continue;
      case Op.FENCE:
        // any atomic update is a full fence; the instruction itself does not compile
        atomic.xchg<u32>(cpu, 0, FENCE_WORD);
        op += step(op);
        h = handler(op);
        continue;
      case Op.FENCE_I:
        fenceCode();
        target = pcOf(delta, op) + 4;
        then = THEN_JUMP;
        break;
      case Op.ECALL:
        if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S) {
          exit = RUN_ECALL;
          then = THEN_LEAVE;
        } else {
          raise(CAUSE_ECALL_U, 0);
          then = THEN_FAULT;
        }
        break;
      case Op.EBREAK:
        raise(CAUSE_BREAKPOINT, pcOf(delta, op));
        then = THEN_FAULT;
        break;
      case Op.SRET:
        then = THEN_FAULT;
        if (load<u32>(cpu, PRIVILEGE) !== PRIVILEGE_S) {
          raise(CAUSE_ILLEGAL, 0x10200073);
          break;
        }
        returnFromTrap();
        then = THEN_RESUME;
        break;
      case Op.WFI:
        if (load<u32>(cpu, PRIVILEGE) !== PRIVILEGE_S) {
          raise(CAUSE_ILLEGAL, 0x10500073);
          then = THEN_FAULT;
          break;
        }
        if ((pendingInterrupts() & load<u64>(cpu, SIE)) === 0) exit = RUN_WFI;
        then = THEN_LEAVE;
        break;
      case Op.SFENCE:
        if (load<u32>(cpu, PRIVILEGE) !== PRIVILEGE_S) {
          raise(CAUSE_ILLEGAL, load<u32>(op, 12));
          then = THEN_FAULT;
          break;
        }
        fenceTranslations(load<u32>(op, 12));
        target = pcOf(delta, op) + 4;
        then = THEN_JUMP;
        break;
      case Op.CSR: {
        const after = executeCsr(load<u32>(op, 12), left);
        if (after === CSR_DONE || after === CSR_CONTEXT) {
          if (after === CSR_CONTEXT) tlb = tlbContext();
          op += step(op);
          h = handler(op);
          continue;
        }
        then = THEN_LEAVE;
        if (after !== CSR_ILLEGAL) break;
        raise(CAUSE_ILLEGAL, load<u32>(op, 12));
        then = THEN_FAULT;
        break;
      }
      case Op.LR:
        loadReserved(op, rb(op));
        if (fault === 0) {
          op += step(op);
          h = handler(op);
          continue;
        }
        then = THEN_FAULT;
        break;
      case Op.SC:
        storeConditional(op, rb(op), rc(op));
        if (fault === 0) {
          op += step(op);
          h = handler(op);
          continue;
        }
        then = THEN_FAULT;
        break;
      case Op.AMO:
        executeAtomic(op, rb(op), rc(op));
        if (fault === 0) {
          op += step(op);
          h = handler(op);
          continue;
        }
        then = THEN_FAULT;
        break;
      case Op.FP:
        if (load<u32>(cpu, FS) !== 0 && executeFloat(load<u32>(op, 12))) {
          op += step(op);
          h = handler(op);
          continue;
        }
        raise(CAUSE_ILLEGAL, load<u32>(op, 12));
        then = THEN_FAULT;
        break;
      case Op.ILLEGAL:
        raise(CAUSE_ILLEGAL, load<u32>(op, 12));
        then = THEN_FAULT;
        break;
      // SEQUENCES
      default:
        unreachable();
    }
    if (then === THEN_STOP) break;
    if (then === THEN_LEAVE) {
      target = pcOf(delta, op) + <u64>(step(op) >>> 3);
      left--;
      break;
    }
    if (then === THEN_FAULT) {
      notRetired();
      store<u64>(cpu, pcOf(delta, op), PC);
      takeFault();
      target = load<u64>(cpu, PC);
      tlb = tlbContext();
    } else if (then === THEN_RESUME) {
      target = load<u64>(cpu, PC);
      left--;
      break;
    }
    // a jump: to slots that the fetch TLB knows, or else through the page table
    const entry = tlb + TLB_FETCHES + ((<u32>target >>> 8) & ((TLB_FETCH_ENTRIES - 1) << 4));
    let slots = <usize>load<u32>(entry, 8);
    if (load<u64>(entry) !== (target & ~(<u64>PAGE - 1))) {
      slots = fetchSlots(target);
      if (slots === 0) {
        store<u64>(cpu, target, PC);
        takeFault();
        target = load<u64>(cpu, PC);
        left--;
        break;
      }
    }
    op = slots + ((<u32>target & (PAGE - 2)) << 3);
    delta = target - <u64>(op >>> 3);
    h = handler(op);
  }
  left++;
  store<u64>(cpu, target, PC);
  store<u64>(cpu, load<u64>(cpu, INSTRET) + <u64>(budget - left), INSTRET);
  return left;
}
