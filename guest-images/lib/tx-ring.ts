/**
 * A transmit ring as the stock driver keeps it: one context descriptor before every packet, RS and EOP on the last data
 * descriptor, completion by DD of the remembered EOP descriptor.
 *
 *   | ctx | data | ctx | data | data | data EOP |      watch[slot of ctx] = slot of EOP + 1
 *
 * Each packet has a buffer of its own, found by its context's slot: contexts are at least two slots apart.
 * The tail is written once per packet, or (tx-batch=N) once per N packets and at the end of each turn.
 */
import { allocRun, freeRun } from './memory';
import { touch } from './rx-ring';
import { isMarking } from './suspend';
import { COMPSC, SUSPEND } from './variant';
import { writeRegister } from './vf';

/** What the card is asked to do with a packet. */
export const OFFLOAD_NONE: u32 = 0;
export const OFFLOAD_UDP: u32 = 1;

const DESCRIPTOR_SHIFT: u32 = 4;
const WATCH_SHIFT: u32 = 2;
/** Free slots a packet needs beyond its own, so that the tail never meets the head. */
const GAP: u32 = 3;
const MIN_PACKET_BYTES: u32 = 17;
export const MAX_DESCRIPTOR_BYTES: u32 = 16384;

const TYPE_CONTEXT: u32 = 2 << 20;
const TYPE_DATA: u32 = 3 << 20;
const DEXT: u32 = 1 << 29;
const EOP: u32 = 1 << 24;
const IFCS: u32 = 1 << 25;
const RS: u32 = 1 << 27;
const TSE: u32 = 1 << 31;
const CONTEXT_IPV4: u32 = 1 << 10;
const CONTEXT_TCP: u32 = 1 << 11;
const MACLEN: u32 = 14 << 9;
const IPLEN: u32 = 20;
const TCP_BYTES: u32 = 20;
const CHECK_CONTEXT: u32 = 1 << 7;
const CONTEXT_ONE: u32 = 1 << 4;
const INSERT_IP_CHECKSUM: u32 = 1 << 8;
const INSERT_L4_CHECKSUM: u32 = 1 << 9;
const PAYLEN_SHIFT: u32 = 14;
const DONE: u32 = 1;

@unmanaged export class TxRing {
  slot: u32;
  tail: u32;
  count: u32;
  descriptors: usize;
  /** Per slot: 0, or 1 + the EOP slot of the packet whose context is here. */
  watch: usize;
  buffers: usize;
  bufferBytes: u32;
  nextToUse: u32;
  nextToClean: u32;
  /** CompSC: the index whose descriptor lies in the ring's first slot. */
  offset: u32;
  /** nextToUse as the device knows it. */
  announced: u32;
  /** Packets that may wait for one tail write; 1 as stock. */
  batch: u32;
  waiting: u32;
  packets: u64;
  bytes: u64;
  /** Packets that found no room. */
  busy: u64;
  /** Sends (a large one is one) ever given to the ring, and those done with. */
  posted: u64;
  cleaned: u64;
  /** `cleaned` at the last hang check. */
  cleanedAtCheck: u64;
  suspect: bool;
}

export function allocateTx(ring: TxRing, count: u32, bufferBytes: u32, batch: u32): bool {
  ring.count = count;
  ring.bufferBytes = bufferBytes;
  ring.batch = max(batch, 1);
  ring.descriptors = allocRun(<usize>count << DESCRIPTOR_SHIFT);
  ring.watch = allocRun(<usize>count << WATCH_SHIFT);
  if (ring.buffers == 0) ring.buffers = allocRun(<usize>(count >> 1) * bufferBytes);
  return ring.descriptors != 0 && ring.watch != 0 && ring.buffers != 0;
}

export function freeTx(ring: TxRing): void {
  freeRun(ring.descriptors, <usize>ring.count << DESCRIPTOR_SHIFT);
  freeRun(ring.watch, <usize>ring.count << WATCH_SHIFT);
  ring.descriptors = 0;
}

export function startTx(ring: TxRing): void {
  memory.fill(ring.watch, 0, <usize>ring.count << WATCH_SHIFT);
  ring.nextToUse = 0;
  ring.nextToClean = 0;
  ring.announced = 0;
  ring.offset = 0;
  ring.waiting = 0;
  // what was under way when the ring stopped is lost
  ring.cleaned = ring.posted;
  ring.suspect = false;
}

/** Sends whose memory the card may still read. */
@inline export function txInFlight(ring: TxRing): u32 {
  return <u32>(ring.posted - ring.cleaned);
}

@inline export function txUnused(ring: TxRing): u32 {
  const clean = ring.nextToClean;
  const use = ring.nextToUse;
  return (clean > use ? 0 : ring.count) + clean - use - 1;
}

/** The card's number of the slot with this index. */
@inline export function txSlot(ring: TxRing, index: u32): u32 {
  if (!COMPSC) return index;
  return index >= ring.offset ? index - ring.offset : index + ring.count - ring.offset;
}

@inline function descriptor(ring: TxRing, index: u32): usize {
  return ring.descriptors + (<usize>txSlot(ring, index) << DESCRIPTOR_SHIFT);
}

@inline function following(ring: TxRing, index: u32): u32 {
  return index + 1 == ring.count ? 0 : index + 1;
}

/** Frees what the device reported done; at most half a ring. Returns packets cleaned. */
export function cleanTx(ring: TxRing): u32 {
  const watch = ring.watch;
  let index = ring.nextToClean;
  let cleaned: u32 = 0;
  for (let budget = ring.count >> 1; budget != 0; budget--) {
    const end = load<u32>(watch + (<usize>index << WATCH_SHIFT));
    if (end == 0 || (load<u32>(descriptor(ring, end - 1), 12) & DONE) == 0) break;
    store<u32>(watch + (<usize>index << WATCH_SHIFT), 0);
    if (COMPSC || (SUSPEND && isMarking())) touch(descriptor(ring, end - 1));
    index = end == ring.count ? 0 : end;
    cleaned++;
  }
  if (cleaned != 0) {
    ring.nextToClean = index;
    ring.cleaned += cleaned;
  }
  return cleaned;
}

/** The buffer of the next packet, or 0 when `dataDescriptors` do not fit now. */
export function packetBuffer(ring: TxRing, dataDescriptors: u32): usize {
  // in images with a virtio driver (virtio-net.ts) a ring without a tail register is a virtqueue
  if (isDefined(virtioPacketBuffer)) {
    if (ring.tail == 0) return virtioPacketBuffer(ring);
  }
  if (txUnused(ring) < dataDescriptors + 1 + GAP) {
    flushTx(ring);
    cleanTx(ring);
    if (txUnused(ring) < dataDescriptors + 1 + GAP) {
      ring.busy++;
      return 0;
    }
  }
  return ring.buffers + <usize>(ring.nextToUse >> 1) * ring.bufferBytes;
}

@inline function writeDescriptor(at: usize, low: u32, high: u32, third: u32, fourth: u32): void {
  store<u32>(at, low);
  store<u32>(at, high, 4);
  store<u32>(at, third, 8);
  store<u32>(at, fourth, 12);
}

/** Sends `bytes` bytes from the buffer that packetBuffer() gave. */
export function sendPacket(ring: TxRing, length: u32, offload: u32): void {
  if (isDefined(virtioSendPacket)) {
    if (ring.tail == 0) {
      virtioSendPacket(ring, length, offload);
      return;
    }
  }
  const first = ring.nextToUse;
  const buffer = ring.buffers + <usize>(first >> 1) * ring.bufferBytes;
  let bytes = length;
  if (bytes < MIN_PACKET_BYTES) {
    memory.fill(buffer + bytes, 0, MIN_PACKET_BYTES - bytes);
    bytes = MIN_PACKET_BYTES;
  }
  const udp = offload == OFFLOAD_UDP;
  writeDescriptor(
    descriptor(ring, first),
    udp ? MACLEN | IPLEN : MACLEN,
    0,
    TYPE_CONTEXT | DEXT | (udp ? CONTEXT_IPV4 : 0),
    0,
  );
  const data = following(ring, first);
  writeDescriptor(
    descriptor(ring, data),
    <u32>buffer,
    0,
    bytes | TYPE_DATA | DEXT | IFCS | EOP | RS,
    CHECK_CONTEXT | (udp ? INSERT_L4_CHECKSUM : 0) | (bytes << PAYLEN_SHIFT),
  );
  finish(ring, first, data, 1, bytes);
}

/**
 * Sends a TCP segment of any size: 54 bytes of headers from packetBuffer()'s buffer, `payloadBytes` from `payload`, cut
 * into frames of `segmentBytes` by the card.
 */
export function sendSegmented(ring: TxRing, payload: usize, payloadBytes: u32, segmentBytes: u32): void {
  const headerBytes: u32 = 14 + IPLEN + TCP_BYTES;
  const first = ring.nextToUse;
  const buffer = ring.buffers + <usize>(first >> 1) * ring.bufferBytes;
  writeDescriptor(
    descriptor(ring, first),
    MACLEN | IPLEN,
    0,
    TYPE_CONTEXT | DEXT | CONTEXT_IPV4 | CONTEXT_TCP,
    CONTEXT_ONE | (TCP_BYTES << 8) | (segmentBytes << 16),
  );
  const command = TYPE_DATA | DEXT | IFCS | TSE;
  let index = following(ring, first);
  writeDescriptor(
    descriptor(ring, index),
    <u32>buffer,
    0,
    headerBytes | command,
    CHECK_CONTEXT | CONTEXT_ONE | INSERT_IP_CHECKSUM | INSERT_L4_CHECKSUM | (payloadBytes << PAYLEN_SHIFT),
  );
  let at = payload;
  let left = payloadBytes;
  while (left != 0) {
    const piece = min(left, MAX_DESCRIPTOR_BYTES);
    left -= piece;
    index = following(ring, index);
    writeDescriptor(descriptor(ring, index), <u32>at, 0, piece | command | (left == 0 ? EOP | RS : 0), 0);
    at += piece;
  }
  const segments = (payloadBytes + segmentBytes - 1) / segmentBytes;
  finish(ring, first, index, segments, payloadBytes + segments * headerBytes);
}

/** How many data descriptors sendSegmented() takes. */
export function segmentedDescriptors(payloadBytes: u32): u32 {
  return 1 + (payloadBytes + MAX_DESCRIPTOR_BYTES - 1) / MAX_DESCRIPTOR_BYTES;
}

@inline function finish(ring: TxRing, first: u32, last: u32, packets: u32, bytes: u32): void {
  store<u32>(ring.watch + (<usize>first << WATCH_SHIFT), last + 1);
  ring.nextToUse = following(ring, last);
  ring.packets += packets;
  ring.bytes += bytes;
  ring.posted++;
  if (++ring.waiting >= ring.batch) flushTx(ring);
}

/** Tells the device of packets that wait for the tail write. */
export function flushTx(ring: TxRing): void {
  if (isDefined(virtioFlush)) {
    if (ring.tail == 0) {
      virtioFlush(ring);
      return;
    }
  }
  ring.waiting = 0;
  if (ring.announced == ring.nextToUse) return;
  ring.announced = ring.nextToUse;
  writeRegister(ring.slot, ring.tail, txSlot(ring, ring.nextToUse));
}

/** A dummy write to every descriptor: the card may have reported some of them done, and nobody has looked. */
export function touchTxRing(ring: TxRing): void {
  for (let i: u32 = 0; i < ring.count; i++) touch(ring.descriptors + (<usize>i << DESCRIPTOR_SHIFT));
}
