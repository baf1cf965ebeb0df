/** LR, SC and AMO. Real atomics: devices work on the same memory from other threads. */
import { forgetCode, isCode } from './code';
import { cpu } from './host';
import { hostForAtomic, hostForReserve, NOWHERE } from './mmu';
import { RESERVED_AT, RESERVED_VALUE } from './offsets';
import { CAUSE_LOAD_MISALIGNED, fault, raise } from './trap';

const DOUBLE: u32 = 32;

/** Registers are given by the slot: a is the target's address, extra the function. */
@inline function setTarget(slot: usize, value: u64): void {
  store<u64>(load<u32>(slot, 4), value);
}

@inline function isDouble(slot: usize): bool {
  return (load<u8>(slot, 3) & DOUBLE) !== 0;
}

export function loadReserved(slot: usize, va: u64): void {
  const size: u32 = isDouble(slot) ? 8 : 4;
  if ((va & <u64>(size - 1)) !== 0) return raise(CAUSE_LOAD_MISALIGNED, va);
  const host = hostForReserve(va);
  if (host === NOWHERE) return;
  const value = size === 8 ? atomic.load<u64>(host) : <u64>(<i64>(<i32>atomic.load<u32>(host)));
  store<u32>(cpu, host, RESERVED_AT);
  store<u64>(cpu, value, RESERVED_VALUE);
  setTarget(slot, value);
}

export function storeConditional(slot: usize, va: u64, value: u64): void {
  const host = hostForAtomic(va, isDouble(slot) ? 8 : 4);
  const reserved = load<u32>(cpu, RESERVED_AT);
  store<u32>(cpu, NOWHERE, RESERVED_AT);
  if (host === NOWHERE) return;
  let failed: u64 = 1;
  if (host === reserved) {
    const old = load<u64>(cpu, RESERVED_VALUE);
    // another thread's store in between shows in the value
    if (isDouble(slot)) failed = <u64>(atomic.cmpxchg<u64>(host, old, value) !== old);
    else failed = <u64>(atomic.cmpxchg<u32>(host, <u32>old, <u32>value) !== <u32>old);
    written(host);
  }
  setTarget(slot, failed);
}

@inline function written(host: u32): void {
  if (isCode(host)) forgetCode(host, 8 - (host & 7));
}

export function executeAtomic(slot: usize, va: u64, operand: u64): void {
  const host = hostForAtomic(va, isDouble(slot) ? 8 : 4);
  if (fault !== 0) return;
  const f5 = <u32>load<u8>(slot, 3) & 31;
  setTarget(slot, isDouble(slot) ? atomic64(host, f5, operand) : <u64>(<i64>(<i32>atomic32(host, f5, <u32>operand))));
  written(host);
}

function atomic64(host: u32, f5: u32, operand: u64): u64 {
  switch (f5) {
    case 0:
      return atomic.add<u64>(host, operand);
    case 1:
      return atomic.xchg<u64>(host, operand);
    case 4:
      return atomic.xor<u64>(host, operand);
    case 8:
      return atomic.or<u64>(host, operand);
    case 12:
      return atomic.and<u64>(host, operand);
  }
  while (true) {
    const old = atomic.load<u64>(host);
    let next = operand;
    if (f5 === 16) next = <u64>min<i64>(<i64>old, <i64>operand);
    else if (f5 === 20) next = <u64>max<i64>(<i64>old, <i64>operand);
    else if (f5 === 24) next = min<u64>(old, operand);
    else next = max<u64>(old, operand);
    if (atomic.cmpxchg<u64>(host, old, next) === old) return old;
  }
}

function atomic32(host: u32, f5: u32, operand: u32): u32 {
  switch (f5) {
    case 0:
      return atomic.add<u32>(host, operand);
    case 1:
      return atomic.xchg<u32>(host, operand);
    case 4:
      return atomic.xor<u32>(host, operand);
    case 8:
      return atomic.or<u32>(host, operand);
    case 12:
      return atomic.and<u32>(host, operand);
  }
  while (true) {
    const old = atomic.load<u32>(host);
    let next = operand;
    if (f5 === 16) next = <u32>min<i32>(<i32>old, <i32>operand);
    else if (f5 === 20) next = <u32>max<i32>(<i32>old, <i32>operand);
    else if (f5 === 24) next = min<u32>(old, operand);
    else next = max<u32>(old, operand);
    if (atomic.cmpxchg<u32>(host, old, next) === old) return old;
  }
}
