/** Exceptions and interrupts as S mode sees them: nothing is delegated further, nothing stays above. */
import { cpu, time } from './host';
import { imsicTop } from './imsic';
import {
  FS,
  PC,
  PRIVILEGE,
  PRIVILEGE_S,
  RESERVED_AT,
  SCAUSE,
  SEPC,
  SIE,
  SIP,
  SSTATUS,
  STIMECMP,
  STVAL,
  STVEC,
} from './offsets';

export const CAUSE_FETCH_ACCESS: u32 = 1;
export const CAUSE_ILLEGAL: u32 = 2;
export const CAUSE_BREAKPOINT: u32 = 3;
export const CAUSE_LOAD_MISALIGNED: u32 = 4;
export const CAUSE_LOAD_ACCESS: u32 = 5;
export const CAUSE_STORE_MISALIGNED: u32 = 6;
export const CAUSE_STORE_ACCESS: u32 = 7;
export const CAUSE_ECALL_U: u32 = 8;
export const CAUSE_ECALL_S: u32 = 9;
export const CAUSE_FETCH_PAGE: u32 = 12;
export const CAUSE_LOAD_PAGE: u32 = 13;
export const CAUSE_STORE_PAGE: u32 = 15;

export const STATUS_SIE: u64 = 1 << 1;
export const STATUS_SPIE: u64 = 1 << 5;
export const STATUS_SPP: u64 = 1 << 8;
export const STATUS_SUM: u64 = 1 << 18;
export const STATUS_MXR: u64 = 1 << 19;

export const IRQ_SOFTWARE: u64 = 1 << 1;
export const IRQ_TIMER: u64 = 1 << 5;
export const IRQ_EXTERNAL: u64 = 1 << 9;

/** A fault on its way: cause, or 0; and what stval will be. */
export let fault: u32 = 0;
export let faultValue: u64 = 0;

export function raise(cause: u32, value: u64): void {
  fault = cause;
  faultValue = value;
}

/** Enters the trap handler for the raised fault. PC is the faulting instruction's. */
export function takeFault(): void {
  enterTrap(<u64>fault, faultValue);
  fault = 0;
}

function enterTrap(cause: u64, value: u64): void {
  const status = load<u64>(cpu, SSTATUS);
  let next = status & ~(STATUS_SIE | STATUS_SPIE | STATUS_SPP);
  if ((status & STATUS_SIE) !== 0) next |= STATUS_SPIE;
  if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S) next |= STATUS_SPP;
  store<u64>(cpu, next, SSTATUS);
  store<u64>(cpu, load<u64>(cpu, PC), SEPC);
  store<u64>(cpu, cause, SCAUSE);
  store<u64>(cpu, value, STVAL);
  store<u32>(cpu, PRIVILEGE_S, PRIVILEGE);
  const vector = load<u64>(cpu, STVEC);
  let target = vector & ~3;
  if ((vector & 1) !== 0 && <i64>cause < 0) target += (cause & 0x3f) << 2;
  store<u64>(cpu, target, PC);
}

/** sip: what is pending, enabled or not. */
export function pendingInterrupts(): u64 {
  let pending = load<u64>(cpu, SIP);
  if (load<u64>(cpu, STIMECMP) <= <u64>time()) pending |= IRQ_TIMER;
  if (imsicTop() !== 0) pending |= IRQ_EXTERNAL;
  return pending;
}

/** The interrupt that would be taken first: external, software, timer. */
@inline export function firstOf(pending: u64): u64 {
  if ((pending & IRQ_EXTERNAL) !== 0) return 9;
  if ((pending & IRQ_SOFTWARE) !== 0) return 1;
  return 5;
}

/** Was the timer due when it was last looked at? Time is asked for once in a while, not at every step. */
let timerDue = false;

export function lookAtTimer(): void {
  timerDue = load<u64>(cpu, STIMECMP) <= <u64>time();
}

/** Pending, enabled, and S mode lets it in: the interrupts that would be taken now. */
function ready(): u64 {
  const enabled = load<u64>(cpu, SIE);
  if (enabled === 0) return 0;
  if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S && (load<u64>(cpu, SSTATUS) & STATUS_SIE) === 0) return 0;
  let pending = load<u64>(cpu, SIP);
  if (timerDue) pending |= IRQ_TIMER;
  if ((enabled & IRQ_EXTERNAL) !== 0 && imsicTop() !== 0) pending |= IRQ_EXTERNAL;
  return pending & enabled;
}

export function interruptWaits(): bool {
  return ready() !== 0;
}

/** PC is the next instruction's. */
export function takeInterrupt(): void {
  const pending = ready();
  if (pending !== 0) enterTrap((<u64>1 << 63) | firstOf(pending), 0);
}

export function returnFromTrap(): void {
  const status = load<u64>(cpu, SSTATUS);
  let next = (status & ~(STATUS_SIE | STATUS_SPP)) | STATUS_SPIE;
  if ((status & STATUS_SPIE) !== 0) next |= STATUS_SIE;
  store<u64>(cpu, next, SSTATUS);
  store<u32>(cpu, (status & STATUS_SPP) !== 0 ? 1 : 0, PRIVILEGE);
  store<u64>(cpu, load<u64>(cpu, SEPC), PC);
  store<u32>(cpu, 0xffffffff, RESERVED_AT);
}

/** sstatus as the guest reads it. */
export function readStatus(): u64 {
  const fs = <u64>load<u32>(cpu, FS);
  let value = load<u64>(cpu, SSTATUS) | (fs << 13) | (<u64>2 << 32);
  if (fs === 3) value |= <u64>1 << 63;
  return value;
}

export function writeStatus(value: u64): void {
  const mask = STATUS_SIE | STATUS_SPIE | STATUS_SPP | STATUS_SUM | STATUS_MXR;
  store<u64>(cpu, value & mask, SSTATUS);
  store<u32>(cpu, <u32>(value >> 13) & 3, FS);
}
