/**
 * A slice of instructions: the interpreter's loop, and between its runs what it does not do itself.
 *
 *   execute -> an instruction the long way -> go on behind it | jump | fault | the slice ends behind it
 *           -> a jump to a page that the fetch TLB does not know
 *           -> the budget is used up
 */
import { executeAtomic, loadReserved, storeConditional } from './atomics';
import { fenceCode, fetchSlots, forgetCode, isCode, ramOf } from './code';
import { CSR_CONTEXT, CSR_DONE, CSR_ILLEGAL, ENVCFG_CBZE, executeCsr, setSliceEnd, sliceEnd } from './csr';
import { copyBytes, copyShifted } from './copy-loops';
import { decodeFrom, decodeStraddling, straddling } from './decode';
import {
  execute,
  goal,
  goOn,
  instructionsLeft,
  JUMP,
  next,
  STOP,
  setInstructionsLeft,
  slot,
  slotDelta,
  zeroBlock,
} from './execute';
import { executeFloat } from './float';
import { cpu, ramBytes } from './host';
import {
  accessFault,
  FETCH,
  flushPage,
  flushTlb,
  hostForStore,
  loadSlow,
  NOWHERE,
  physical,
  STORE,
  storeSlow,
  tlbContext,
} from './mmu';
import {
  CACHE_BLOCK,
  FS,
  INSTRET,
  PAGE,
  PC,
  PRIVILEGE,
  PRIVILEGE_S,
  RAM_BASE,
  RUN_ECALL,
  RUN_WFI,
  SENVCFG,
  SIE,
  X,
} from './offsets';
import { Op } from './ops';
import { BOX, handler, imm, pcOf, ra, rb, rc, set, step } from './slots';
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

/** What follows an instruction that went the long way. */
const THEN_NEXT: u32 = 0;
/** The slot has a handler now: it does not count as an instruction. */
const THEN_AGAIN: u32 = 1;
/** The next instruction, fetched anew. */
const THEN_REFETCH: u32 = 2;
const THEN_FAULT: u32 = 3;
const THEN_LEAVE: u32 = 4;
/** The handlers of traps have set PC and privilege. */
const THEN_RESUME: u32 = 5;
/** It has gone on itself. */
const THEN_THERE: u32 = 6;

export const KEEP_RUNNING: u32 = 0xffff;
/** Why the last slice ended, when the host has to hear of it: RUN_*, or KEEP_RUNNING. */
export let exit: u32 = KEEP_RUNNING;

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

function illegal(instruction: u64): u32 {
  raise(CAUSE_ILLEGAL, instruction);
  return THEN_FAULT;
}

/** Its memory access had no TLB entry, or its slot is not decoded, or it is never the loop's affair. */
function theLongWay(op: usize, h: u32, pc: u64): u32 {
  switch (h) {
    case Op.DECODE:
      decodeFrom(op);
      goOn(op, handler(op), slotDelta);
      return THEN_AGAIN;
    case Op.STRADDLE:
      return decodeAcross(op, pc + 2);
    case Op.LB:
    case Op.LH:
    case Op.LW:
    case Op.LD:
    case Op.LBU:
    case Op.LHU:
    case Op.LWU:
    case Op.FLW:
    case Op.FLD:
      return loads(op, h);
    case Op.SB:
      return stores(op, 1);
    case Op.SH:
      return stores(op, 2);
    case Op.SW:
      return stores(op, 4);
    case Op.SD:
      return stores(op, 8);
    case Op.FSW:
      return load<u32>(cpu, FS) === 0 ? illegal(fetched(op)) : stores(op, 4);
    case Op.FSD:
      return load<u32>(cpu, FS) === 0 ? illegal(fetched(op)) : stores(op, 8);
    case Op.LR:
      loadReserved(op, rb(op));
      return fault === 0 ? THEN_NEXT : THEN_FAULT;
    case Op.SC:
      storeConditional(op, rb(op), rc(op));
      return fault === 0 ? THEN_NEXT : THEN_FAULT;
    case Op.AMO:
      executeAtomic(op, rb(op), rc(op));
      return fault === 0 ? THEN_NEXT : THEN_FAULT;
    case Op.FP:
      if (load<u32>(cpu, FS) !== 0 && executeFloat(load<u32>(op, 12))) return THEN_NEXT;
      return illegal(<u64>load<u32>(op, 12));
    case Op.CBO_ZERO:
      return zeroes(op);
    case Op.COPY_SHIFTED:
      if (copyShifted(op)) return THEN_THERE;
      set(op, rb(op) >> (rc(op) & 63));
      return THEN_NEXT;
    case Op.COPY_BYTES:
      return copyBytes(op) ? THEN_THERE : loads(op, Op.LB);
    case Op.FENCE_I:
      fenceCode();
      return THEN_REFETCH;
    default:
      return executeSystem(op, h, pc);
  }
}

function decodeAcross(op: usize, at: u64): u32 {
  const pa = physical(at, FETCH);
  if (fault === 0 && pa - <u64>RAM_BASE >= <u64>ramBytes) raise(CAUSE_FETCH_ACCESS, at);
  if (fault !== 0) return THEN_FAULT;
  goOn(op, decodeStraddling(op, <u32>load<u16>(<usize>(pa - <u64>RAM_BASE))), slotDelta);
  return THEN_AGAIN;
}

function loads(op: usize, h: u32): u32 {
  if (h === Op.FLW || h === Op.FLD) {
    if (load<u32>(cpu, FS) === 0) return illegal(fetched(op));
    store<u32>(cpu, 3, FS);
  }
  let size: u32 = 8;
  if (h === Op.LB || h === Op.LBU) size = 1;
  else if (h === Op.LH || h === Op.LHU) size = 2;
  else if (h === Op.LW || h === Op.LWU || h === Op.FLW) size = 4;
  let value = loadSlow(rb(op) + imm(op), size);
  if (fault !== 0) return THEN_FAULT;
  if (h === Op.LB) value = <u64>(<i64>(<i8>value));
  else if (h === Op.LH) value = <u64>(<i64>(<i16>value));
  else if (h === Op.LW) value = <u64>(<i64>(<i32>value));
  else if (h === Op.FLW) value |= BOX;
  set(op, value);
  return THEN_NEXT;
}

function stores(op: usize, size: u32): u32 {
  if (!storeSlow(rb(op) + imm(op), size, ra(op))) return THEN_NEXT;
  return fault !== 0 ? THEN_FAULT : THEN_LEAVE;
}

/** A block in RAM only: a device is not asked for what it cannot answer at once. */
function zeroes(op: usize): u32 {
  const isAllowed = load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S || (load<u64>(cpu, SENVCFG) & ENVCFG_CBZE) !== 0;
  if (!isAllowed) return illegal(fetched(op));
  const va = rb(op);
  const host = hostForStore(va);
  if (host === NOWHERE) {
    if (fault === 0) accessFault(va, STORE);
    return THEN_FAULT;
  }
  zeroBlock(host);
  const block = host & ~(CACHE_BLOCK - 1);
  return isCode(block) && forgetCode(block, CACHE_BLOCK) ? THEN_LEAVE : THEN_NEXT;
}

function executeSystem(op: usize, h: u32, pc: u64): u32 {
  const isSupervisor = load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S;
  switch (h) {
    case Op.CSR: {
      const after = executeCsr(load<u32>(op, 12), instructionsLeft);
      if (after === CSR_DONE || after === CSR_CONTEXT) return THEN_NEXT;
      return after === CSR_ILLEGAL ? illegal(<u64>load<u32>(op, 12)) : THEN_LEAVE;
    }
    case Op.ECALL:
      if (isSupervisor) {
        exit = RUN_ECALL;
        return THEN_LEAVE;
      }
      raise(CAUSE_ECALL_U, 0);
      return THEN_FAULT;
    case Op.EBREAK:
      raise(CAUSE_BREAKPOINT, pc);
      return THEN_FAULT;
    case Op.SRET:
      if (!isSupervisor) return illegal(0x10200073);
      returnFromTrap();
      return THEN_RESUME;
    case Op.WFI:
      if (!isSupervisor) return illegal(0x10500073);
      if ((pendingInterrupts() & load<u64>(cpu, SIE)) === 0) exit = RUN_WFI;
      return THEN_LEAVE;
    case Op.SFENCE:
      if (!isSupervisor) return illegal(<u64>load<u32>(op, 12));
      fenceTranslations(load<u32>(op, 12));
      return THEN_REFETCH;
    default:
      return illegal(<u64>load<u32>(op, 12));
  }
}

/** To an instruction of the page that was fetched last, or another: by way of PAGE_END, which counts as none. */
@inline function jumpTo(target: u64): void {
  goOn(0, Op.PAGE_END, target);
}

/** Runs at most `budget` instructions from PC on; returns how many were left over. */
export function runSlice(budget: i32): i32 {
  setSliceEnd(load<u64>(cpu, INSTRET) + <u64>budget);
  exit = KEEP_RUNNING;
  setInstructionsLeft(budget);
  jumpTo(load<u64>(cpu, PC));
  let target: u64 = 0;
  let left: i32 = 0;
  // two calls in the text: the compiler would put the loop in here if there were one
  for (execute(tlbContext()); ; execute(tlbContext())) {
    target = goal;
    left = instructionsLeft;
    if (next === STOP) break;
    if (next === JUMP) {
      const slots = fetchSlots(target);
      if (slots === 0) {
        store<u64>(cpu, target, PC);
        takeFault();
        target = load<u64>(cpu, PC);
        left--;
        break;
      }
      const op = slots + ((<u32>target & (PAGE - 2)) << 3);
      goOn(op, handler(op), target - <u64>(op >>> 3));
      continue;
    }
    const op = slot;
    const pc = pcOf(slotDelta, op);
    const then = theLongWay(op, next, pc);
    if (then === THEN_NEXT) {
      goOn(op + step(op), handler(op + step(op)), slotDelta);
    } else if (then === THEN_THERE) {
      continue;
    } else if (then === THEN_AGAIN) {
      setInstructionsLeft(left + 1);
    } else if (then === THEN_REFETCH) {
      jumpTo(pc + 4);
    } else if (then === THEN_FAULT) {
      notRetired();
      store<u64>(cpu, pc, PC);
      takeFault();
      jumpTo(load<u64>(cpu, PC));
    } else {
      target = then === THEN_RESUME ? load<u64>(cpu, PC) : pc + <u64>(step(op) >>> 3);
      left--;
      break;
    }
  }
  left++;
  store<u64>(cpu, target, PC);
  store<u64>(cpu, load<u64>(cpu, INSTRET) + <u64>(budget - left), INSTRET);
  return left;
}
