/**
 * Addresses: the page-table walk, the TLBs, and every access that a TLB does not answer.
 *
 *   handler --TLB hit--> RAM
 *           --miss--> here: alignment -> walk -> RAM (fill the TLB) | device (call out) | fault (raised, see trap.ts)
 *
 * A store entry exists only for a page that may be written without telling anybody: not for pages with decoded code,
 * and, while the dirty log is on, only once the page is marked.
 */
import { forgetCode, isCode } from './code';
import { attention, cpu, dirtyLog, mmioRead, mmioWrite, ramBytes } from './host';
import {
  DIRTY_LOGGING,
  MMIO_FAULT,
  MMIO_HIGH,
  PAGE,
  PRIVILEGE,
  PRIVILEGE_S,
  RAM_BASE,
  SATP,
  SSTATUS,
  SUPERPAGES_1G,
  SUPERPAGES_2M,
  SUPERPAGES_BYTES,
  TLB,
  TLB_CONTEXT,
  TLB_CONTEXTS,
  TLB_DATA_ENTRIES,
  TLB_ENTRY,
  TLB_FETCH_ENTRIES,
  TLB_FETCHES,
  TLB_FILLS,
  TLB_FILLS_KEPT,
  TLB_STORES,
} from './offsets';
import {
  CAUSE_FETCH_ACCESS,
  CAUSE_FETCH_PAGE,
  CAUSE_LOAD_ACCESS,
  CAUSE_LOAD_PAGE,
  CAUSE_STORE_ACCESS,
  CAUSE_STORE_MISALIGNED,
  CAUSE_STORE_PAGE,
  fault,
  raise,
  STATUS_MXR,
  STATUS_SUM,
} from './trap';

export const LOAD: u32 = 0;
export const STORE: u32 = 1;
export const FETCH: u32 = 2;

/** No RAM behind an address: a fault was raised, or a device is at `lastPhysical`. */
export const NOWHERE: u32 = 0xffffffff;
export let lastPhysical: u64 = 0;

/** A tag that no address compares equal to: bit 11 is never part of a comparison. */
const NO_TAG: u64 = 0x800;

const PTE_V: u64 = 1;
const PTE_R: u64 = 2;
const PTE_W: u64 = 4;
const PTE_X: u64 = 8;
const PTE_U: u64 = 16;
const PTE_A: u64 = 64;
const PTE_D: u64 = 128;
/** Bits 54..63: reserved, and what Svnapot and Svpbmt would give a meaning. */
const PTE_RESERVED: u64 = 0xffc0000000000000;

/** The TLBs of the privilege and SUM that hold now. */
export function tlbContext(): usize {
  let context: usize = 0;
  if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S) context = (load<u64>(cpu, SSTATUS) & STATUS_SUM) !== 0 ? 2 : 1;
  return cpu + TLB + context * TLB_CONTEXT;
}

function clearTags(from: usize, entries: usize): void {
  for (let at = from; at < from + entries * TLB_ENTRY; at += TLB_ENTRY) store<u64>(at, NO_TAG);
}

/** Entries filled since then; more than are kept: all have to be cleared. What the memory of a new instance holds is unknown. */
let fills: u32 = TLB_FILLS_KEPT + 1;

export function forgetFills(): void {
  fills = TLB_FILLS_KEPT + 1;
}

export function noteFill(entry: usize): void {
  if (fills < <u32>TLB_FILLS_KEPT) store<u16>(cpu + TLB_FILLS + (fills << 1), <u16>((entry - cpu - TLB) / TLB_ENTRY));
  if (fills <= <u32>TLB_FILLS_KEPT) fills++;
}

/** A context switch does this twice: most of the entries are empty then. */
export function flushTlb(): void {
  if (fills > <u32>TLB_FILLS_KEPT) {
    clearTags(cpu + TLB, (TLB_CONTEXTS * TLB_CONTEXT) / TLB_ENTRY);
  } else {
    for (let i: u32 = 0; i < fills; i++) {
      store<u64>(cpu + TLB + <usize>load<u16>(cpu + TLB_FILLS + (i << 1)) * TLB_ENTRY, NO_TAG);
    }
  }
  fills = 0;
  memory.fill(cpu + SUPERPAGES_2M, 0, SUPERPAGES_BYTES);
  memory.fill(cpu + SUPERPAGES_1G, 0, SUPERPAGES_BYTES);
}

/** Bit of a region of 2^shift bytes in its bitmap. */
@inline function regionByte(bitmap: usize, va: u64, shift: u64): usize {
  return cpu + bitmap + (<usize>(va >> (shift + 3)) & (SUPERPAGES_BYTES - 1));
}

@inline function regionBit(va: u64, shift: u64): u8 {
  return <u8>(<u32>1 << (<u32>(va >> shift) & 7));
}

/** sfence.vma of one address: a page's entries, or all when a superpage may have been there. */
export function flushPage(va: u64): void {
  const superpage =
    (load<u8>(regionByte(SUPERPAGES_2M, va, 21)) & regionBit(va, 21)) |
    (load<u8>(regionByte(SUPERPAGES_1G, va, 30)) & regionBit(va, 30));
  if (superpage !== 0) {
    flushTlb();
    return;
  }
  const data = entryFor(va);
  const fetch = ((<u32>va) >>> 8) & ((TLB_FETCH_ENTRIES - 1) << 4);
  for (let i = 0; i < TLB_CONTEXTS; i++) {
    const context = cpu + TLB + i * TLB_CONTEXT;
    store<u64>(context + data, NO_TAG);
    store<u64>(context + data, NO_TAG, TLB_STORES);
    store<u64>(context + fetch, NO_TAG, TLB_FETCHES);
  }
}

function noteSuperpage(va: u64, level: i32): void {
  const at = level === 1 ? regionByte(SUPERPAGES_2M, va, 21) : regionByte(SUPERPAGES_1G, va, 30);
  store<u8>(at, load<u8>(at) | (level === 1 ? regionBit(va, 21) : regionBit(va, 30)));
}

export function flushStores(): void {
  for (let i = 0; i < TLB_CONTEXTS; i++) clearTags(cpu + TLB + i * TLB_CONTEXT + TLB_STORES, TLB_DATA_ENTRIES);
}

export function flushFetches(): void {
  for (let i = 0; i < TLB_CONTEXTS; i++) clearTags(cpu + TLB + i * TLB_CONTEXT + TLB_FETCHES, TLB_FETCH_ENTRIES);
}

function pageFault(va: u64, access: u32): u64 {
  raise(access === LOAD ? CAUSE_LOAD_PAGE : access === STORE ? CAUSE_STORE_PAGE : CAUSE_FETCH_PAGE, va);
  return 0;
}

export function accessFault(va: u64, access: u32): u64 {
  raise(access === LOAD ? CAUSE_LOAD_ACCESS : access === STORE ? CAUSE_STORE_ACCESS : CAUSE_FETCH_ACCESS, va);
  return 0;
}

/** Physical address for an access at the current privilege; raises a fault (then `fault` is not 0). */
export function physical(va: u64, access: u32): u64 {
  const satp = load<u64>(cpu, SATP);
  if (satp >> 60 === 0) return va;
  if (<u64>((<i64>va << 25) >> 25) !== va) return pageFault(va, access);
  let table = (satp & 0xfffffffffff) << 12;
  for (let level: i32 = 2; level >= 0; level--) {
    const shift: u64 = 12 + 9 * level;
    const at = table + (((va >> shift) & 0x1ff) << 3) - <u64>RAM_BASE;
    if (at >= <u64>ramBytes) return accessFault(va, access);
    const pte = load<u64>(<usize>at);
    if ((pte & PTE_V) === 0 || (pte & PTE_RESERVED) !== 0 || (pte & (PTE_R | PTE_W)) === PTE_W) {
      return pageFault(va, access);
    }
    const ppn = (pte >> 10) & 0xfffffffffff;
    if ((pte & (PTE_R | PTE_X)) === 0) {
      if ((pte & (PTE_U | PTE_A | PTE_D)) !== 0) return pageFault(va, access);
      table = ppn << 12;
      continue;
    }
    const within = (<u64>1 << shift) - 1;
    if (((ppn << 12) & within) !== 0 || !allowed(pte, access)) return pageFault(va, access);
    if (level !== 0) noteSuperpage(va, level);
    return (ppn << 12) | (va & within);
  }
  return pageFault(va, access);
}

function allowed(pte: u64, access: u32): bool {
  const status = load<u64>(cpu, SSTATUS);
  const user = (pte & PTE_U) !== 0;
  if (load<u32>(cpu, PRIVILEGE) === PRIVILEGE_S) {
    if (user && (access === FETCH || (status & STATUS_SUM) === 0)) return false;
  } else if (!user) {
    return false;
  }
  if ((pte & PTE_A) === 0) return false;
  if (access === FETCH) return (pte & PTE_X) !== 0;
  if (access === STORE) return (pte & (PTE_W | PTE_D)) === (PTE_W | PTE_D);
  return (pte & PTE_R) !== 0 || ((status & STATUS_MXR) !== 0 && (pte & PTE_X) !== 0);
}

@inline export function entryFor(va: u64): usize {
  return <usize>(((<u32>va) >>> 8) & ((TLB_DATA_ENTRIES - 1) << 4));
}

function fill(entry: usize, va: u64, host: u32): void {
  noteFill(entry);
  store<u64>(entry, va & ~(<u64>PAGE - 1));
  store<u32>(entry, (host & ~(PAGE - 1)) - (<u32>va & ~(PAGE - 1)), 8);
}

/** Where the byte at `va` lies, for a load; or NOWHERE. */
function hostForLoad(va: u64): u32 {
  const entry = tlbContext() + entryFor(va);
  if (load<u64>(entry) === (va & ~(<u64>PAGE - 1))) return <u32>va + load<u32>(entry, 8);
  const pa = physical(va, LOAD);
  if (fault !== 0) return NOWHERE;
  lastPhysical = pa;
  const offset = pa - <u64>RAM_BASE;
  if (offset >= <u64>ramBytes) return NOWHERE;
  fill(entry, va, <u32>offset);
  return <u32>offset;
}

/** The same for a store; marks the page in the dirty log. */
export function hostForStore(va: u64): u32 {
  const entry = tlbContext() + TLB_STORES + entryFor(va);
  if (load<u64>(entry) === (va & ~(<u64>PAGE - 1))) return <u32>va + load<u32>(entry, 8);
  const pa = physical(va, STORE);
  if (fault !== 0) return NOWHERE;
  lastPhysical = pa;
  const offset = pa - <u64>RAM_BASE;
  if (offset >= <u64>ramBytes) return NOWHERE;
  if (load<u32>(cpu, DIRTY_LOGGING) !== 0) store<u8>(dirtyLog + (<u32>offset >>> 12), 1);
  if (!isCode(<u32>offset)) fill(entry, va, <u32>offset);
  return <u32>offset;
}

/** For AMO, LR and SC: aligned, in RAM, writable; or a fault. */
export function hostForAtomic(va: u64, size: u32): u32 {
  if ((va & <u64>(size - 1)) !== 0) {
    raise(CAUSE_STORE_MISALIGNED, va);
    return NOWHERE;
  }
  const host = hostForStore(va);
  if (host === NOWHERE && fault === 0) accessFault(va, STORE);
  return host;
}

export function hostForReserve(va: u64): u32 {
  const host = hostForLoad(va);
  if (host === NOWHERE && fault === 0) accessFault(va, LOAD);
  return host;
}

function loadRam(host: u32, size: u32): u64 {
  if (size === 8) return load<u64>(host);
  if (size === 4) return <u64>load<u32>(host);
  if (size === 2) return <u64>load<u16>(host);
  return <u64>load<u8>(host);
}

function storeRam(host: u32, size: u32, value: u64): void {
  if (size === 8) store<u64>(host, value);
  else if (size === 4) store<u32>(host, <u32>value);
  else if (size === 2) store<u16>(host, <u16>value);
  else store<u8>(host, <u8>value);
}

/** A load that missed: zero-extended; look at `fault` afterwards. */
export function loadSlow(va: u64, size: u32): u64 {
  if ((va & <u64>(PAGE - 1)) + <u64>size > <u64>PAGE) return loadAcross(va, size);
  const host = hostForLoad(va);
  if (host !== NOWHERE) return loadRam(host, size);
  if (fault !== 0) return 0;
  return loadDevice(va, lastPhysical, size);
}

function loadDevice(va: u64, pa: u64, size: u32): u64 {
  // devices are asked only for what they can answer at once
  if ((pa & <u64>(size - 1)) !== 0) return accessFault(va, LOAD);
  const low = mmioRead(<u32>pa, <u32>(pa >> 32), size);
  if (load<u32>(cpu, MMIO_FAULT) !== 0) {
    store<u32>(cpu, 0, MMIO_FAULT);
    return accessFault(va, LOAD);
  }
  if (size === 8) return <u64>low | (<u64>load<u32>(cpu, MMIO_HIGH) << 32);
  return size === 4 ? <u64>low : <u64>(low & ((1 << (size << 3)) - 1));
}

function loadAcross(va: u64, size: u32): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < size; i++) {
    const host = hostForLoad(va + <u64>i);
    if (host === NOWHERE) return fault !== 0 ? 0 : accessFault(va + <u64>i, LOAD);
    value |= <u64>load<u8>(host) << (<u64>i << 3);
  }
  return value;
}

/** A store that missed. True: a fault was raised, or the core should look up before it goes on. */
export function storeSlow(va: u64, size: u32, value: u64): bool {
  if ((va & <u64>(PAGE - 1)) + <u64>size > <u64>PAGE) return storeAcross(va, size, value);
  const host = hostForStore(va);
  if (host !== NOWHERE) {
    storeRam(host, size, value);
    return isCode(host) ? forgetCode(host, size) : false;
  }
  if (fault !== 0) return true;
  const pa = lastPhysical;
  if ((pa & <u64>(size - 1)) !== 0) {
    accessFault(va, STORE);
    return true;
  }
  const kept = size === 8 ? value : value & ((<u64>1 << <u64>(size << 3)) - 1);
  mmioWrite(<u32>pa, <u32>(pa >> 32), size, <u32>kept, <u32>(kept >> 32));
  if (load<u32>(cpu, MMIO_FAULT) !== 0) {
    store<u32>(cpu, 0, MMIO_FAULT);
    accessFault(va, STORE);
  }
  return true;
}

/** Both pages are checked before a byte is written. */
function storeAcross(va: u64, size: u32, value: u64): bool {
  const next = (va + <u64>size - 1) & ~(<u64>PAGE - 1);
  const first = hostForStore(va);
  const second = first === NOWHERE ? NOWHERE : hostForStore(next);
  if (second === NOWHERE) {
    if (fault === 0) accessFault(first === NOWHERE ? va : next, STORE);
    return true;
  }
  let leave = false;
  for (let i: u32 = 0; i < size; i++) {
    const at = va + <u64>i < next ? first + i : second + <u32>(va + <u64>i - next);
    store<u8>(at, <u8>(value >> (<u64>i << 3)));
    if (isCode(at)) leave = forgetCode(at, 1) || leave;
  }
  return leave;
}

/** Has somebody asked the core to stop? */
@inline export function attentionWanted(): bool {
  return atomic.load<u32>(attention) !== 0;
}
