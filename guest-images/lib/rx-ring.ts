/**
 * A receive ring as the stock driver keeps it (hardware reference 4.3, 4.4).
 *
 *   slots     0 .... nextToUse .... nextToAlloc .... nextToClean .......... count
 *                    | recycled     | empty          | posted or completed
 *                    | pages, not   |                | (length != 0: completed)
 *                    | posted yet   |
 *
 * A page has two halves and posts one of them. A packet above 256 bytes stays in its half ("the stack keeps it"), so the
 * page's other half is posted next; a smaller one is copied away and the same half is posted again. Recycled pages move
 * from the slot just cleaned to nextToAlloc: the page set is stable, the page-to-slot association is not.
 * With `hold` > 0 the stack lets go of a page only `hold` pages later, so the driver takes fresh pages meanwhile.
 *
 * Refill writes bytes 0-7 of a slot and zeroes the length of the next one; the rest keeps the previous lap's write-back.
 */
import { allocRun, freeRun } from './memory';
import { COMPSC } from './variant';
import { writeRegister } from './vf';

export const DESCRIPTOR_SHIFT: u32 = 4;
/** Cleaned slots are refilled in batches of so many. */
export const REFILL_BATCH: u32 = 16;
/** Up to here a packet is copied out of its page and the same half is posted again. */
export const COPY_LIMIT: u32 = 256;
/** Offsets in a written-back descriptor. */
export const RX_STATUS: usize = 8;
export const RX_LENGTH: usize = 12;

export const STATUS_EOP: u32 = 1 << 1;
export const STATUS_L4CS: u32 = 1 << 5;
export const STATUS_IPCS: u32 = 1 << 6;
export const ERROR_TCPE: u32 = 1 << 30;
export const ERROR_IPE: u32 = 1 << 31;
/** CE, LE, PE, OSE, USE: the frame is not usable. */
export const ERROR_FRAME: u32 = 0x3b000000;

/** Per slot: page (0: none), offset of the half in it. */
const SLOT_SHIFT: u32 = 3;
const CHAIN_BYTES: usize = 16384;
const RECYCLED_HELD: u32 = 4096;

@unmanaged export class RxRing {
  slot: u32;
  /** Address of the tail register. */
  tail: u32;
  count: u32;
  /** Descriptors. 0: not allocated. */
  descriptors: usize;
  slots: usize;
  nextToUse: u32;
  nextToAlloc: u32;
  nextToClean: u32;
  /** CompSC: the index whose descriptor lies in the ring's first slot. */
  offset: u32;
  /** 2048 in 4 KiB pages, or 4096 in 8 KiB pages with 64 bytes of headroom. */
  halfBytes: u32;
  headroom: u32;
  /** Where a packet of several descriptors is put together, and how far it is. */
  chain: usize;
  chainBytes: u32;
  /** Pages that the stack still keeps: a circle of `hold` addresses. */
  hold: u32;
  held: usize;
  heldNext: u32;
  packets: u64;
  bytes: u64;
  errors: u64;
  allocFailures: u64;
}

/** Takes memory for the ring. False: no memory. */
export function allocateRx(ring: RxRing, count: u32, large: bool, hold: u32): bool {
  ring.count = count;
  ring.halfBytes = large ? 4096 : 2048;
  ring.headroom = large ? 64 : 0;
  ring.hold = min(hold, RECYCLED_HELD);
  ring.descriptors = allocRun(<usize>count << DESCRIPTOR_SHIFT);
  ring.slots = allocRun(<usize>count << SLOT_SHIFT);
  if (ring.chain == 0) ring.chain = allocRun(CHAIN_BYTES);
  if (ring.held == 0) ring.held = allocRun(RECYCLED_HELD << 2);
  if (ring.descriptors == 0 || ring.slots == 0 || ring.chain == 0 || ring.held == 0) return false;
  memory.fill(ring.slots, 0, <usize>count << SLOT_SHIFT);
  memory.fill(ring.held, 0, RECYCLED_HELD << 2);
  ring.heldNext = 0;
  return true;
}

/** Gives back the pages of all slots and what the stack kept. */
export function freeRxPages(ring: RxRing): void {
  const pageBytes = <usize>ring.halfBytes << 1;
  for (let i: u32 = 0; i < ring.count; i++) {
    const slot = ring.slots + (<usize>i << SLOT_SHIFT);
    const page = load<usize>(slot);
    if (page != 0) freeRun(page, pageBytes);
    store<usize>(slot, 0);
  }
  for (let i: u32 = 0; i < ring.hold; i++) {
    const entry = ring.held + (<usize>i << 2);
    if (load<usize>(entry) != 0) freeRun(load<usize>(entry), pageBytes);
    store<usize>(entry, 0);
  }
}

export function freeRx(ring: RxRing): void {
  freeRxPages(ring);
  freeRun(ring.descriptors, <usize>ring.count << DESCRIPTOR_SHIFT);
  freeRun(ring.slots, <usize>ring.count << SLOT_SHIFT);
  ring.descriptors = 0;
}

/** Before the queue is enabled. The ring's memory is not cleared: only slot 0's length is. */
export function startRx(ring: RxRing): void {
  ring.nextToUse = 0;
  ring.nextToAlloc = 0;
  ring.nextToClean = 0;
  ring.chainBytes = 0;
  ring.offset = 0;
  store<u16>(ring.descriptors, 0, RX_LENGTH);
}

/** The card's number of the slot with this index. */
@inline export function rxSlot(ring: RxRing, index: u32): u32 {
  if (!COMPSC) return index;
  return index >= ring.offset ? index - ring.offset : index + ring.count - ring.offset;
}

@inline export function rxDescriptor(ring: RxRing, index: u32): usize {
  return ring.descriptors + (<usize>rxSlot(ring, index) << DESCRIPTOR_SHIFT);
}

/** The first posted slot that the card has not completed. */
export function firstUndone(ring: RxRing): u32 {
  let index = ring.nextToClean;
  while (index != ring.nextToUse && load<u16>(rxDescriptor(ring, index), RX_LENGTH) != 0) {
    if (++index == ring.count) index = 0;
  }
  return index;
}

/** A dummy write to everything that DMA wrote and nobody has looked at: the vCPU's dirty log has it then. */
export function touchRing(ring: RxRing): void {
  const end = firstUndone(ring);
  for (let index = ring.nextToClean; index != end; ) {
    touch(rxDescriptor(ring, index));
    touch(bufferOf(ring, index));
    if (++index == ring.count) index = 0;
  }
}

/** Reads a byte and writes it back. */
@inline export function touch(at: usize): void {
  store<u8>(at, load<u8>(at));
}

@inline export function rxUnused(ring: RxRing): u32 {
  const clean = ring.nextToClean;
  const use = ring.nextToUse;
  return (clean > use ? 0 : ring.count) + clean - use - 1;
}

/** Posts `wanted` slots from nextToUse on and tells the device. */
export function refill(ring: RxRing, wanted: u32): void {
  const count = ring.count;
  const slots = ring.slots;
  const first = ring.nextToUse;
  let index = first;
  for (let left = wanted; left != 0; left--) {
    const slot = slots + (<usize>index << SLOT_SHIFT);
    let page = load<usize>(slot);
    if (page == 0) {
      page = allocRun(<usize>ring.halfBytes << 1);
      if (page == 0) {
        ring.allocFailures++;
        break;
      }
      store<usize>(slot, page);
      store<u32>(slot, ring.headroom, 4);
    }
    store<u64>(rxDescriptor(ring, index), <u64>page + <u64>load<u32>(slot, 4));
    if (++index == count) index = 0;
    store<u16>(rxDescriptor(ring, index), 0, RX_LENGTH);
  }
  if (index == first) return;
  ring.nextToUse = index;
  ring.nextToAlloc = index;
  writeRegister(ring.slot, ring.tail, rxSlot(ring, index));
}

/** Where the packet of slot `index` begins. */
@inline export function bufferOf(ring: RxRing, index: u32): usize {
  const slot = ring.slots + (<usize>index << SLOT_SHIFT);
  return load<usize>(slot) + <usize>load<u32>(slot, 4);
}

/** The slot's packet was dealt with: parks its page at nextToAlloc, other half first if the packet stays in this one. */
@inline export function recycle(ring: RxRing, index: u32, packetBytes: u32): void {
  const slot = ring.slots + (<usize>index << SLOT_SHIFT);
  const page = load<usize>(slot);
  let offset = load<u32>(slot, 4);
  store<usize>(slot, 0);
  const stays = packetBytes > COPY_LIMIT || ring.headroom != 0;
  if (stays) {
    if (ring.hold != 0) {
      keep(ring, page);
      return;
    }
    offset ^= ring.halfBytes;
  }
  const alloc = ring.nextToAlloc;
  const target = ring.slots + (<usize>alloc << SLOT_SHIFT);
  store<usize>(target, page);
  store<u32>(target, offset, 4);
  ring.nextToAlloc = alloc + 1 == ring.count ? 0 : alloc + 1;
}

/** The stack keeps a whole page and lets go of the one it has kept longest. */
function keep(ring: RxRing, page: usize): void {
  const entry = ring.held + (<usize>ring.heldNext << 2);
  const released = load<usize>(entry);
  if (released != 0) freeRun(released, <usize>ring.halfBytes << 1);
  store<usize>(entry, page);
  ring.heldNext = ring.heldNext + 1 == ring.hold ? 0 : ring.heldNext + 1;
}

/** Appends a buffer to the packet being put together; what does not fit is cut off (and the packet is no good then). */
export function appendChain(ring: RxRing, from: usize, bytes: u32): void {
  const have = ring.chainBytes;
  const fits = min(bytes, <u32>CHAIN_BYTES - have);
  memory.copy(ring.chain + have, from, fits);
  ring.chainBytes = have + fits;
}
