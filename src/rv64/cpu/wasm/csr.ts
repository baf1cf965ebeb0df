/** Control and status registers, as S and U mode may see them. */
import { cpu, time } from './host';
import { imsicClaim, imsicExists, imsicPending, imsicRead, imsicUpdate } from './imsic';
import { flushTlb } from './mmu';
import {
  FFLAGS,
  FRM,
  FS,
  PRIVILEGE,
  PRIVILEGE_S,
  SATP,
  SCAUSE,
  SCOUNTEREN,
  SENVCFG,
  SEPC,
  SIE,
  SIP,
  SISELECT,
  SSCRATCH,
  SSTATUS,
  STIMECMP,
  STVAL,
  STVEC,
  X,
  X_SINK,
} from './offsets';
import {
  firstOf,
  IRQ_SOFTWARE,
  interruptWaits,
  lookAtTimer,
  pendingInterrupts,
  readStatus,
  STATUS_MXR,
  STATUS_SIE,
  STATUS_SUM,
  writeStatus,
} from './trap';

const FFLAGS_CSR: u32 = 0x001;
const FRM_CSR: u32 = 0x002;
const FCSR: u32 = 0x003;
const SSTATUS_CSR: u32 = 0x100;
const SIE_CSR: u32 = 0x104;
const STVEC_CSR: u32 = 0x105;
const SCOUNTEREN_CSR: u32 = 0x106;
const SENVCFG_CSR: u32 = 0x10a;
const SSCRATCH_CSR: u32 = 0x140;
const SEPC_CSR: u32 = 0x141;
const SCAUSE_CSR: u32 = 0x142;
const STVAL_CSR: u32 = 0x143;
const SIP_CSR: u32 = 0x144;
const STIMECMP_CSR: u32 = 0x14d;
const SISELECT_CSR: u32 = 0x150;
const SIREG_CSR: u32 = 0x151;
const STOPEI_CSR: u32 = 0x15c;
const SATP_CSR: u32 = 0x180;
const CYCLE_CSR: u32 = 0xc00;
const TIME_CSR: u32 = 0xc01;
const INSTRET_CSR: u32 = 0xc02;
const STOPI_CSR: u32 = 0xdb0;

const SIE_WRITABLE: u64 = 0x222;
/** senvcfg: a fence orders device accesses too; user mode may use cbo.zero. */
const ENVCFG_FIOM: u64 = 1;
export const ENVCFG_CBZE: u64 = 1 << 7;
const SATP_MODE_SV39: u64 = 8;
const SATP_MODE_AND_PPN: u64 = 0xf0000fffffffffff;

/** What the core does after a CSR instruction. */
export const CSR_DONE: u32 = 0;
export const CSR_ILLEGAL: u32 = 1;
/** Interrupts or the address space have changed. */
export const CSR_LEAVE: u32 = 2;
/** Another TLB context holds. */
export const CSR_CONTEXT: u32 = 3;

/** What instret will be when the running slice has used up its budget. */
export let sliceEnd: u64 = 0;
export function setSliceEnd(value: u64): void {
  sliceEnd = value;
}

function exists(csr: u32): bool {
  const privilege = load<u32>(cpu, PRIVILEGE);
  if (((csr >>> 8) & 3) > privilege) return false;
  switch (csr) {
    case FFLAGS_CSR:
    case FRM_CSR:
    case FCSR:
      return load<u32>(cpu, FS) !== 0;
    case CYCLE_CSR:
    case TIME_CSR:
    case INSTRET_CSR:
      return privilege === PRIVILEGE_S || ((load<u64>(cpu, SCOUNTEREN) >> <u64>(csr & 3)) & 1) !== 0;
    case SIREG_CSR:
      return imsicExists(load<u64>(cpu, SISELECT));
    case SSTATUS_CSR:
    case SIE_CSR:
    case STVEC_CSR:
    case SCOUNTEREN_CSR:
    case SENVCFG_CSR:
    case SSCRATCH_CSR:
    case SEPC_CSR:
    case SCAUSE_CSR:
    case STVAL_CSR:
    case SIP_CSR:
    case STIMECMP_CSR:
    case SISELECT_CSR:
    case STOPEI_CSR:
    case SATP_CSR:
    case STOPI_CSR:
      return true;
  }
  return false;
}

function read(csr: u32, left: i32): u64 {
  switch (csr) {
    case FFLAGS_CSR:
      return <u64>load<u32>(cpu, FFLAGS);
    case FRM_CSR:
      return <u64>load<u32>(cpu, FRM);
    case FCSR:
      return <u64>(load<u32>(cpu, FFLAGS) | (load<u32>(cpu, FRM) << 5));
    case CYCLE_CSR:
    case INSTRET_CSR:
      return sliceEnd - <u64>(left + 1);
    case TIME_CSR:
      return <u64>time();
    case SSTATUS_CSR:
      return readStatus();
    case SIE_CSR:
      return load<u64>(cpu, SIE);
    case STVEC_CSR:
      return load<u64>(cpu, STVEC);
    case SCOUNTEREN_CSR:
      return load<u64>(cpu, SCOUNTEREN);
    case SENVCFG_CSR:
      return load<u64>(cpu, SENVCFG);
    case SSCRATCH_CSR:
      return load<u64>(cpu, SSCRATCH);
    case SEPC_CSR:
      return load<u64>(cpu, SEPC);
    case SCAUSE_CSR:
      return load<u64>(cpu, SCAUSE);
    case STVAL_CSR:
      return load<u64>(cpu, STVAL);
    case SIP_CSR:
      return pendingInterrupts();
    case STIMECMP_CSR:
      return load<u64>(cpu, STIMECMP);
    case SISELECT_CSR:
      return load<u64>(cpu, SISELECT);
    case SIREG_CSR:
      return imsicRead(load<u64>(cpu, SISELECT));
    case STOPEI_CSR: {
      const id = <u64>imsicPending();
      return (id << 16) | id;
    }
    case SATP_CSR:
      return load<u64>(cpu, SATP);
    default:
      return readTopInterrupt();
  }
}

function readTopInterrupt(): u64 {
  const pending = pendingInterrupts() & load<u64>(cpu, SIE);
  return pending === 0 ? 0 : (firstOf(pending) << 16) | 1;
}

/** `old` is the value read before; `mask` the bits that the instruction may change. */
function write(csr: u32, value: u64, old: u64, mask: u64): u32 {
  switch (csr) {
    case FFLAGS_CSR:
      store<u32>(cpu, <u32>value & 31, FFLAGS);
      store<u32>(cpu, 3, FS);
      break;
    case FRM_CSR:
      store<u32>(cpu, <u32>value & 7, FRM);
      store<u32>(cpu, 3, FS);
      break;
    case FCSR:
      store<u32>(cpu, <u32>value & 31, FFLAGS);
      store<u32>(cpu, <u32>(value >> 5) & 7, FRM);
      store<u32>(cpu, 3, FS);
      break;
    case SSTATUS_CSR:
      return changeStatus(value);
    case SIE_CSR:
      store<u64>(cpu, value & SIE_WRITABLE, SIE);
      return interruptWaits() ? CSR_LEAVE : CSR_DONE;
    case STVEC_CSR:
      // mode 2 and 3 do not exist: the old mode stays
      store<u64>(cpu, (value & 2) !== 0 ? (value & ~3) | (old & 1) : value, STVEC);
      break;
    case SCOUNTEREN_CSR:
      store<u64>(cpu, value & 7, SCOUNTEREN);
      break;
    case SENVCFG_CSR:
      store<u64>(cpu, value & (ENVCFG_FIOM | ENVCFG_CBZE), SENVCFG);
      break;
    case SSCRATCH_CSR:
      store<u64>(cpu, value, SSCRATCH);
      break;
    case SEPC_CSR:
      store<u64>(cpu, value & ~1, SEPC);
      break;
    case SCAUSE_CSR:
      store<u64>(cpu, value & 0x800000000000003f, SCAUSE);
      break;
    case STVAL_CSR:
      store<u64>(cpu, value, STVAL);
      break;
    case SIP_CSR:
      store<u64>(cpu, value & IRQ_SOFTWARE, SIP);
      return interruptWaits() ? CSR_LEAVE : CSR_DONE;
    case STIMECMP_CSR:
      store<u64>(cpu, value, STIMECMP);
      lookAtTimer();
      return interruptWaits() ? CSR_LEAVE : CSR_DONE;
    case SISELECT_CSR:
      store<u64>(cpu, value & 0xff, SISELECT);
      break;
    case SIREG_CSR:
      imsicUpdate(load<u64>(cpu, SISELECT), value, mask);
      return interruptWaits() ? CSR_LEAVE : CSR_DONE;
    case STOPEI_CSR:
      if (old !== 0) imsicClaim(<u32>old & 0x7ff);
      break;
    case SATP_CSR:
      return changeAddressSpace(value);
  }
  return CSR_DONE;
}

function changeStatus(value: u64): u32 {
  const before = load<u64>(cpu, SSTATUS);
  writeStatus(value);
  const changed = before ^ load<u64>(cpu, SSTATUS);
  if ((changed & STATUS_MXR) !== 0) flushTlb();
  if ((changed & STATUS_SIE) !== 0 && interruptWaits()) return CSR_LEAVE;
  return (changed & STATUS_SUM) !== 0 ? CSR_CONTEXT : CSR_DONE;
}

function changeAddressSpace(value: u64): u32 {
  const mode = value >> 60;
  // a mode that does not exist: the whole write has no effect
  if (mode !== 0 && mode !== SATP_MODE_SV39) return CSR_DONE;
  store<u64>(cpu, mode === 0 ? 0 : value & SATP_MODE_AND_PPN, SATP);
  flushTlb();
  return CSR_LEAVE;
}

/** csrrw, csrrs, csrrc and their immediate forms. `left` is what remains of the slice's budget. */
export function executeCsr(word: u32, left: i32): u32 {
  const csr = word >>> 20;
  const f3 = (word >>> 12) & 7;
  const rs1 = (word >>> 15) & 31;
  const rd = (word >>> 7) & 31;
  const writes = (f3 & 3) === 1 || rs1 !== 0;
  if (writes && csr >>> 10 === 3) return CSR_ILLEGAL;
  if (!exists(csr)) return CSR_ILLEGAL;
  const operand = (f3 & 4) !== 0 ? <u64>rs1 : load<u64>(cpu + (rs1 << 3), X);
  const old = read(csr, left);
  let after = CSR_DONE;
  if (writes) {
    // SEIP and STIP read as they are, but only SSIP is ever written
    switch (f3 & 3) {
      case 1:
        after = write(csr, operand, old, <u64>-1);
        break;
      case 2:
        after = write(csr, old | operand, old, operand);
        break;
      default:
        after = write(csr, old & ~operand, old, operand);
        break;
    }
  }
  store<u64>(cpu + ((rd === 0 ? X_SINK : rd) << 3), old, X);
  return after;
}
