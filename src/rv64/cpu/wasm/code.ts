/**
 * Decoded code, by physical page. A page that is executed gets a block of slots, one for each halfword, filled by the
 * decoder when they are reached (handler 0 = not decoded), and a copy of its bytes.
 *
 *   the guest's own stores into such a page   clear exactly the slots that they can have changed
 *   what others wrote (DMA, the VMM)          is found at fence.i: a page is compared with its copy at its next fetch
 */
import { cpu, ramBytes } from './host';
import { accessFault, FETCH, flushFetches, flushStores, NOWHERE, noteFill, physical, tlbContext } from './mmu';
import {
  CODE,
  CODE_COPY,
  CODE_INFO,
  CODE_INFO_BYTES,
  CODE_MAP,
  CODE_PAGES,
  CODE_STRIDE,
  PAGE,
  RAM_BASE,
  SLOT,
  SLOTS_BYTES,
  TLB_FETCH_ENTRIES,
  TLB_FETCHES,
} from './offsets';
import { Op } from './ops';
import { fault } from './trap';

/** Code pages in use: all below this number but those in the free list. */
let used: u32 = 0;
let firstFree: u32 = NOWHERE;
/** Counts fence.i. */
let generation: u32 = 0;
/** A code page (its number) that is written so often that it should no longer be one. */
export let worthDropping: u32 = NOWHERE;
/** After so many stores a page is taken for data. */
const STORES_OF_DATA: u32 = 64;
/** A handler may run eight instructions, 32 bytes; the last two of them may be what was written. */
const REACH: u32 = 30;

const INFO_RAM: usize = 0;
const INFO_GENERATION: usize = 4;
const INFO_STORES: usize = 8;

@inline function mapEntry(ramOffset: u32): usize {
  return cpu + CODE_MAP + ((ramOffset >>> 12) << 1);
}

@inline export function isCode(ramOffset: u32): bool {
  return load<u16>(mapEntry(ramOffset)) !== 0;
}

@inline function infoOf(page: u32): usize {
  return cpu + CODE_INFO + page * CODE_INFO_BYTES;
}

@inline function slotsOf(page: u32): usize {
  return cpu + CODE + page * CODE_STRIDE;
}

@inline function copyOf(page: u32): usize {
  return cpu + CODE_COPY + page * PAGE;
}

/** Where in RAM the instruction of a slot lies. */
export function ramOf(slot: usize): u32 {
  const page = <u32>((slot - (cpu + CODE)) / CODE_STRIDE);
  return load<u32>(infoOf(page), INFO_RAM) + <u32>((slot - slotsOf(page)) >>> 3);
}

/** Bytes from the start of its page to a slot's instruction. */
export function offsetOf(slot: usize): u32 {
  return <u32>(((slot - (cpu + CODE)) % CODE_STRIDE) >>> 3);
}

/** All code is forgotten. Not while slots are being executed. */
export function flushCode(): void {
  for (let page: u32 = 0; page < used; page++) {
    const ram = load<u32>(infoOf(page), INFO_RAM);
    if (ram !== NOWHERE) store<u16>(mapEntry(ram), 0);
  }
  used = 0;
  firstFree = NOWHERE;
  worthDropping = NOWHERE;
  flushFetches();
}

/** For a memory whose contents are unknown: the map as well. */
export function resetCode(): void {
  memory.fill(cpu + CODE_MAP, 0, (ramBytes >>> 12) << 1);
  used = 0;
  flushCode();
}

/** fence.i: what was fetched until now is looked at again before it is used. */
export function fenceCode(): void {
  generation++;
  flushFetches();
}

/** Stored to a code page. True: the core should leave its loop (the page is to be dropped). */
export function forgetCode(ramOffset: u32, size: u32): bool {
  const page = <u32>load<u16>(mapEntry(ramOffset)) - 1;
  const info = infoOf(page);
  const at = ramOffset & (PAGE - 1);
  const first = at > REACH ? (at - REACH) >>> 1 : 0;
  const last = (at + size - 1) >>> 1;
  const slots = slotsOf(page);
  for (let i = first; i <= last; i++) store<u16>(slots + i * SLOT, Op.DECODE);
  memory.copy(copyOf(page) + at, ramOffset, size);
  const stores = load<u32>(info, INFO_STORES) + 1;
  store<u32>(info, stores, INFO_STORES);
  if (stores < STORES_OF_DATA) return false;
  worthDropping = page;
  return true;
}

/** Not while slots are being executed. */
export function dropCode(): void {
  const info = infoOf(worthDropping);
  store<u16>(mapEntry(load<u32>(info, INFO_RAM)), 0);
  store<u32>(info, NOWHERE, INFO_RAM);
  store<u32>(info, firstFree, INFO_GENERATION);
  firstFree = worthDropping;
  worthDropping = NOWHERE;
  flushFetches();
}

function allocate(): u32 {
  if (firstFree !== NOWHERE) {
    const page = firstFree;
    firstFree = load<u32>(infoOf(page), INFO_GENERATION);
    return page;
  }
  if (used === CODE_PAGES) flushCode();
  return used++;
}

/** The code page of a page of RAM: made, or looked at again after a fence.i. */
function codePage(ramPage: u32): u32 {
  const known = <u32>load<u16>(mapEntry(ramPage));
  if (known !== 0) {
    const info = infoOf(known - 1);
    if (load<u32>(info, INFO_GENERATION) !== generation) refresh(known - 1, ramPage);
    return known - 1;
  }
  const page = allocate();
  const info = infoOf(page);
  store<u32>(info, ramPage, INFO_RAM);
  store<u32>(info, 0, INFO_STORES);
  store<u16>(mapEntry(ramPage), <u16>(page + 1));
  renew(page, ramPage);
  // from now on the guest's stores to it must be seen
  flushStores();
  return page;
}

function renew(page: u32, ramPage: u32): void {
  const slots = slotsOf(page);
  memory.fill(slots, 0, SLOTS_BYTES);
  for (let i: usize = 0; i < 4; i++) store<u16>(slots + SLOTS_BYTES + i * SLOT, Op.PAGE_END);
  memory.copy(copyOf(page), ramPage, PAGE);
  store<u32>(infoOf(page), generation, INFO_GENERATION);
}

/** Of 32 bytes. */
@inline function difference(x: usize, y: usize): v128 {
  return v128.or(v128.xor(v128.load(x), v128.load(y)), v128.xor(v128.load(x, 16), v128.load(y, 16)));
}

function refresh(page: u32, ramPage: u32): void {
  const copy = copyOf(page);
  for (let at: u32 = 0; at < <u32>PAGE; at += 64) {
    if (v128.any_true(v128.or(difference(copy + at, ramPage + at), difference(copy + at + 32, ramPage + at + 32)))) {
      renew(page, ramPage);
      return;
    }
  }
  store<u32>(infoOf(page), generation, INFO_GENERATION);
}

/** The slots of the page at `va`, entered in the fetch TLB; or 0 with a fault raised. */
export function fetchSlots(va: u64): usize {
  const pa = physical(va, FETCH);
  if (fault !== 0) return 0;
  const offset = pa - <u64>RAM_BASE;
  if (offset >= <u64>ramBytes) {
    accessFault(va, FETCH);
    return 0;
  }
  const slots = slotsOf(codePage(<u32>offset & ~(PAGE - 1)));
  const entry = tlbContext() + TLB_FETCHES + ((<u32>va >>> 8) & ((TLB_FETCH_ENTRIES - 1) << 4));
  noteFill(entry);
  store<u64>(entry, va & ~(<u64>PAGE - 1));
  store<u32>(entry, <u32>slots, 8);
  return slots;
}
