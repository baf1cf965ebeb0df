/**
 * The interpreter's loop: one switch over the handlers of decoded slots.
 *
 *   op     the slot being executed             delta   pc = delta + op / 8, as long as the page stays the same
 *   left   instructions that may still run     tlb     TLBs of the current privilege
 *
 * The loop calls nothing: its variables then stay in the host's registers, where a call anywhere in it would put them
 * on the stack at every instruction. What needs more (an access that no TLB answers, a CSR, a trap) is left to slice.ts.
 * A case ends with `continue` (op and handler are the next instruction's) or with `break`: h says what is to be done, a
 * jump to `target` that leaves the page, the end of the budget, or the instruction at op the long way.
 *
 * The build adds cases for sequences of instructions (scripts/rv64-core-sequences.mjs), put together from these: a case
 * that others may follow ends with exactly the three lines that go to the next slot.
 */
import { cpu } from './host';
import { divide, multiplyHigh, multiplyHighSignedUnsigned, multiplyHighUnsigned, remainder } from './integer';
import {
  CACHE_BLOCK,
  FENCE_WORD,
  FS,
  PAGE,
  PRIVILEGE,
  PRIVILEGE_S,
  TLB_DATA_ENTRIES,
  TLB_FETCH_ENTRIES,
  TLB_FETCHES,
  TLB_STORES,
} from './offsets';
import { Op } from './ops';
import { BOX, handler, imm, pcOf, ra, rb, rc, set, step, word } from './slots';

/** Not handlers: what is to be done after the loop. */
export const JUMP: u32 = 0x10000;
export const STOP: u32 = 0x10001;

/** Where the loop ended, and where it goes on. */
export let slot: usize = 0;
/** The instruction's handler, JUMP or STOP. */
export let next: u32 = 0;
export let slotDelta: u64 = 0;
export let instructionsLeft: i32 = 0;
/** Of a jump, or where it stopped. */
export let goal: u64 = 0;

export function goOn(op: usize, h: u32, delta: u64): void {
  slot = op;
  next = h;
  slotDelta = delta;
}

export function setInstructionsLeft(left: i32): void {
  instructionsLeft = left;
}

@inline function entryOf(tlb: usize, va: u64): usize {
  return tlb + (((<u32>va) >>> 8) & ((TLB_DATA_ENTRIES - 1) << 4));
}
/** At any alignment; an access across two pages misses: the tag of the second never lies in the entry of the first. */
@inline function hit(entry: usize, va: u64, size: u64): bool {
  return load<u64>(entry) === ((va + size - 1) & ~(<u64>PAGE - 1));
}
@inline function host(entry: usize, va: u64): usize {
  return <usize>(<u32>va + load<u32>(entry, 8));
}

/** The cache block that a byte of RAM lies in becomes zeros. */
@inline export function zeroBlock(at: usize): void {
  const block = at & ~(CACHE_BLOCK - 1);
  const zero = i64x2.splat(0);
  v128.store(block, zero);
  v128.store(block, zero, 16);
  v128.store(block, zero, 32);
  v128.store(block, zero, 48);
}

/** Runs from `slot` on, until something is to be done that takes more. */
export function execute(tlb: usize): void {
  let op = slot;
  let h = next;
  let delta = slotDelta;
  let left = instructionsLeft;
  let target: u64 = 0;
  while (true) {
    if (--left < 0) {
      target = pcOf(delta, op);
      h = STOP;
      break;
    }
    switch (h) {
      case Op.PAGE_END:
        left++;
        target = pcOf(delta, op);
        h = JUMP;
        break;
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
        h = JUMP;
        break;
      case Op.JALR:
        target = (rb(op) + imm(op)) & ~1;
        set(op, pcOf(delta, op) + <u64>(step(op) >>> 3));
        h = JUMP;
        break;
      case Op.JR:
        target = (rb(op) + imm(op)) & ~1;
        h = JUMP;
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
          h = JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BNE_FAR:
        if (rb(op) !== ra(op)) {
          target = pcOf(delta, op) + imm(op);
          h = JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLT_FAR:
        if (<i64>rb(op) < <i64>ra(op)) {
          target = pcOf(delta, op) + imm(op);
          h = JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGE_FAR:
        if (<i64>rb(op) >= <i64>ra(op)) {
          target = pcOf(delta, op) + imm(op);
          h = JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BLTU_FAR:
        if (rb(op) < ra(op)) {
          target = pcOf(delta, op) + imm(op);
          h = JUMP;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      case Op.BGEU_FAR:
        if (rb(op) >= ra(op)) {
          target = pcOf(delta, op) + imm(op);
          h = JUMP;
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
          h = Op.LB;
          break;
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
          h = Op.LH;
          break;
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
          h = Op.LW;
          break;
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
          h = Op.LD;
          break;
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
          h = Op.LBU;
          break;
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
          h = Op.LHU;
          break;
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
          h = Op.LWU;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FLW: {
        if (load<u32>(cpu, FS) === 0) {
          h = Op.FLW;
          break;
        }
        store<u32>(cpu, 3, FS);
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 4)) {
          set(op, BOX | <u64>load<u32>(host(entry, va)));
        } else {
          h = Op.FLW;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FLD: {
        if (load<u32>(cpu, FS) === 0) {
          h = Op.FLD;
          break;
        }
        store<u32>(cpu, 3, FS);
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb, va);
        if (hit(entry, va, 8)) {
          set(op, load<u64>(host(entry, va)));
        } else {
          h = Op.FLD;
          break;
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
        } else {
          h = Op.SB;
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
        } else {
          h = Op.SH;
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
        } else {
          h = Op.SW;
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
        } else {
          h = Op.SD;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FSW: {
        if (load<u32>(cpu, FS) === 0) {
          h = Op.FSW;
          break;
        }
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 4)) {
          store<u32>(host(entry, va), <u32>ra(op));
        } else {
          h = Op.FSW;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      case Op.FSD: {
        if (load<u32>(cpu, FS) === 0) {
          h = Op.FSD;
          break;
        }
        const va = rb(op) + imm(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        if (hit(entry, va, 8)) {
          store<u64>(host(entry, va), ra(op));
        } else {
          h = Op.FSD;
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
      case Op.CBO_ZERO: {
        const va = rb(op);
        const entry = entryOf(tlb + TLB_STORES, va);
        // in user mode the supervisor has to allow it
        if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S && hit(entry, va, 1)) {
          zeroBlock(host(entry, va));
        } else {
          h = Op.CBO_ZERO;
          break;
        }
        op += step(op);
        h = handler(op);
        continue;
      }
      // SEQUENCES
      default:
        break;
    }
    if (h !== JUMP) break;
    // to slots that the fetch TLB knows, or else through the page table
    const entry = tlb + TLB_FETCHES + ((<u32>target >>> 8) & ((TLB_FETCH_ENTRIES - 1) << 4));
    if (load<u64>(entry) !== (target & ~(<u64>PAGE - 1))) break;
    op = <usize>load<u32>(entry, 8) + ((<u32>target & (PAGE - 2)) << 3);
    delta = target - <u64>(op >>> 3);
    h = handler(op);
  }
  slot = op;
  next = h;
  slotDelta = delta;
  instructionsLeft = left;
  goal = target;
}
