/**
 * The S-level interrupt file of the IMSIC: pending bits that any thread sets, enables that only the guest writes.
 * The lowest pending and enabled identity below the threshold wins.
 */
import { cpu } from './host';
import { EIDELIVERY, EITHRESHOLD, IMSIC_BYTES, IMSIC_EIE, IMSIC_EIP, IMSIC_IDS } from './offsets';

const SELECT_DELIVERY: u32 = 0x70;
const SELECT_THRESHOLD: u32 = 0x72;
const SELECT_EIP: u32 = 0x80;
const SELECT_EIE: u32 = 0xc0;
const SELECT_PRIORITIES: u32 = 0x30;

/** What stopei shows when external interrupts are delivered: the identity, or 0. */
export function imsicTop(): u32 {
  return load<u32>(cpu, EIDELIVERY) === 1 ? imsicPending() : 0;
}

export function imsicPending(): u32 {
  for (let at: usize = 0; at < <usize>IMSIC_BYTES; at += 8) {
    const ready = atomic.load<u64>(cpu + at, IMSIC_EIP) & load<u64>(cpu + at, IMSIC_EIE);
    if (ready === 0) continue;
    const id = ((<u32>at) << 3) + <u32>ctz(ready);
    const threshold = load<u32>(cpu, EITHRESHOLD);
    return threshold === 0 || id < threshold ? id : 0;
  }
  return 0;
}

export function imsicClaim(id: u32): void {
  atomic.and<u32>(cpu + ((id >>> 5) << 2), ~(1 << (id & 31)), IMSIC_EIP);
}

/** Is there a register behind siselect's value? */
export function imsicExists(select: u64): bool {
  if (select >= SELECT_PRIORITIES && select <= SELECT_PRIORITIES + 15) return (select & 1) === 0;
  if (select === SELECT_DELIVERY || select === SELECT_THRESHOLD) return true;
  return select >= SELECT_EIP && select <= SELECT_EIE + 63 && (select & 1) === 0;
}

export function imsicRead(select: u64): u64 {
  const which = <u32>select;
  if (which === SELECT_DELIVERY) return <u64>load<u32>(cpu, EIDELIVERY);
  if (which === SELECT_THRESHOLD) return <u64>load<u32>(cpu, EITHRESHOLD);
  const at = (which & 0x3f) << 2;
  if (which < SELECT_EIP || at >= <u32>IMSIC_BYTES) return 0;
  return which < SELECT_EIE ? atomic.load<u64>(cpu + at, IMSIC_EIP) : load<u64>(cpu + at, IMSIC_EIE);
}

/** Read, then write of one register, where only the bits in `mask` change: an atomic step for the pending bits. */
export function imsicUpdate(select: u64, value: u64, mask: u64): void {
  const which = <u32>select;
  if (which === SELECT_DELIVERY) {
    const next = (load<u32>(cpu, EIDELIVERY) & ~(<u32>mask)) | (<u32>value & <u32>mask);
    if (next <= 1) store<u32>(cpu, next, EIDELIVERY);
    return;
  }
  if (which === SELECT_THRESHOLD) {
    const next = (load<u32>(cpu, EITHRESHOLD) & ~(<u32>mask)) | (<u32>value & <u32>mask);
    store<u32>(cpu, next & IMSIC_IDS, EITHRESHOLD);
    return;
  }
  const at = (which & 0x3f) << 2;
  if (which < SELECT_EIP || at >= <u32>IMSIC_BYTES) return;
  // identity 0 does not exist
  const writable = at === 0 ? mask & ~1 : mask;
  if (which < SELECT_EIE) {
    atomic.and<u64>(cpu + at, value | ~writable, IMSIC_EIP);
    atomic.or<u64>(cpu + at, value & writable, IMSIC_EIP);
  } else {
    store<u64>(cpu + at, (load<u64>(cpu + at, IMSIC_EIE) & ~writable) | (value & writable), IMSIC_EIE);
  }
}
