/**
 * The receive half of the DMA engine: from a frame and a queue to bytes in guest memory.
 *
 *   admit()  are there enough descriptors for the whole frame?   take | hold (the sender keeps it) | drop
 *   place()  for each descriptor: payload -> truth -> dwords 0-1 -> dwords 2-3 in one store -> truth   (IommuDomain)
 *            then counters, then RDH, then (at the end of the engine's step) the interrupt
 *
 * So a head that moved past a slot means that the slot's DMA is complete, and it stays at a packet's first descriptor
 * until the packet's last one is done. Plain stores suffice: they become visible in order on x86-64.
 *
 * A queue's geometry is read once, when it is enabled. Whatever the guest does to its ring meanwhile, every address
 * passes the IOMMU at the time of the write.
 */
import type { Bytes } from '../bytes.js';
import { FAULT, type IommuDomain } from '../iommu/domain.js';
import {
  DESCRIPTOR_BYTES,
  DESCTYPE,
  HEADER_LENGTH_SHIFT,
  MAX_HEADER_LENGTH,
  PACKET_TYPE,
  PSRTYPE,
  RX_ERROR,
  RX_STATUS,
  SPLIT_HEADER,
  srrctlBufferBytes,
  srrctlHeaderBytes,
  srrctlType,
} from './descriptors.js';
import { psrtypeOffset, RX, RXDCTL_VME, rxQueueOffset, SRRCTL_DROP_EN } from './offsets.js';
import { ETHERNET_HEADER_BYTES, type Packet } from './packet.js';
import { QueueSet } from './queue-set.js';
import { areRequestsWaiting } from './queue-state.js';
import { CONTROL, type NicShared, QUEUE_COUNT, REGION } from './shared.js';
import type { NicStats } from './stats.js';

export const ADMIT = { take: 0, hold: 1, drop: 2 } as const;
export type Admit = (typeof ADMIT)[keyof typeof ADMIT];

/** Write-back values of one frame, the same for each pool that gets it. */
export interface RxMeta {
  /** RSS type and packet type flags. */
  info: number;
  hash: number;
  /** Status and error bits of the last descriptor, without done and end-of-packet. */
  status: number;
  vlanTag: number;
}

export class RxPath {
  readonly queues: QueueSet;
  readonly #words: Int32Array;
  readonly #domains: readonly (IommuDomain | null)[];
  readonly #stats: NicStats;
  readonly #bufferBytes = new Int32Array(QUEUE_COUNT);
  readonly #headerBytes = new Int32Array(QUEUE_COUNT);
  readonly #descriptorType = new Uint8Array(QUEUE_COUNT);
  readonly #dropEnabled = new Uint8Array(QUEUE_COUNT);

  constructor(shared: NicShared, domains: readonly (IommuDomain | null)[], stats: NicStats) {
    this.#words = shared.words;
    this.#domains = domains;
    this.#stats = stats;
    this.queues = new QueueSet(shared, domains, rxQueueOffset, {
      base: RX.RDBAL,
      baseHigh: RX.RDBAH,
      length: RX.RDLEN,
      head: RX.RDH,
      tail: RX.RDT,
    });
  }

  /** Reads the geometry of a queue that was just enabled, or whose domain changed. */
  configure(queue: number): void {
    this.queues.configure(queue);
    const srrctl = this.#words[(rxQueueOffset(queue) + RX.SRRCTL) >> 2]!;
    this.#bufferBytes[queue] = srrctlBufferBytes(srrctl);
    this.#headerBytes[queue] = srrctlHeaderBytes(srrctl);
    this.#descriptorType[queue] = srrctlType(srrctl);
    this.#dropEnabled[queue] = (srrctl & SRRCTL_DROP_EN) !== 0 ? 1 : 0;
    // no buffer size: nothing could ever be received
    if (this.#bufferBytes[queue] === 0) this.queues.stop(queue);
  }

  stop(queue: number): void {
    this.queues.stop(queue);
  }

  /** Whether this queue wants VLAN tags stripped; drivers switch it while the queue runs. */
  stripsVlan(queue: number): boolean {
    return (this.#words[(rxQueueOffset(queue) + RX.RXDCTL) >> 2]! & RXDCTL_VME) !== 0;
  }

  /** Whether the queue can take `frames` frames of this size now. */
  admit(queue: number, frameBytes: number, frames = 1): Admit {
    const count = this.queues.count[queue]!;
    if (count === 0) return ADMIT.drop;
    const tail = this.#words[this.queues.tailWord[queue]!]!;
    // some queue is asked to stop: this tail may be of a ring that is not configured yet
    if (areRequestsWaiting(this.#words)) return ADMIT.hold;
    // a tail outside the ring hands over nothing, and must not stop the wire for the others
    if (tail < 0 || tail >= count) return ADMIT.drop;
    let free = tail - this.queues.head[queue]!;
    if (free < 0) free += count;
    const bufferBytes = this.#bufferBytes[queue]!;
    const perFrame = frameBytes <= bufferBytes ? 1 : Math.ceil(frameBytes / bufferBytes);
    const needed = perFrame * frames;
    if (free >= needed) return ADMIT.take;
    // more than the ring ever holds: waiting would be for ever
    if (needed >= count || this.#drops(queue)) return ADMIT.drop;
    return ADMIT.hold;
  }

  /** Writes an admitted frame. `meta` is about the whole frame. */
  place(queue: number, packet: Packet, from: Bytes, offset: number, length: number, meta: RxMeta): void {
    const pool = queue >> 1;
    const domain = this.#domains[pool]!;
    const queues = this.queues;
    const type = this.#descriptorType[queue]!;
    let head: number;
    if (type === DESCTYPE.oneBuffer && length <= this.#bufferBytes[queue]!) {
      const ring = domain.i32;
      head = queues.head[queue]!;
      const at = queues.base[queue]! + head * DESCRIPTOR_BYTES;
      domain.beforeRead(at, DESCRIPTOR_BYTES);
      this.#writePayload(domain, ring[at >>> 2]!, ring[(at >>> 2) + 1]!, from, offset, length);
      const status = meta.status | RX_STATUS.done | RX_STATUS.endOfPacket;
      domain.writeDescriptor(at, meta.info, meta.hash, status, length | (meta.vlanTag << 16));
      head = head + 1 === queues.count[queue] ? 0 : head + 1;
    } else if (type === DESCTYPE.legacy) {
      head = this.#placeLegacy(queue, domain, from, offset, length, meta);
    } else {
      head = this.#placeChain(queue, domain, packet, from, offset, length, meta);
    }
    this.#stats.countRx(pool, length, packet.multicast && !packet.broadcast);
    queues.head[queue] = head;
    this.#words[queues.headWord[queue]!] = head;
    queues.notePending(queue);
  }

  #drops(queue: number): boolean {
    if (this.#dropEnabled[queue] !== 0) return true;
    const word = this.#words[REGION.control + CONTROL.queueDrop + (queue >> 5)]!;
    return ((word >>> (queue & 31)) & 1) !== 0;
  }

  /** A posted write that faults is lost without the device learning of it: the write-back goes on as if it had landed. */
  #writePayload(
    domain: IommuDomain,
    addressLow: number,
    addressHigh: number,
    from: Bytes,
    offset: number,
    length: number,
  ): void {
    const target = domain.translate(addressLow, addressHigh, length, true);
    if (target === FAULT) return;
    domain.write(target, from, offset, length);
  }

  /** One-buffer chains and header split. */
  #placeChain(
    queue: number,
    domain: IommuDomain,
    packet: Packet,
    from: Bytes,
    offset: number,
    length: number,
    meta: RxMeta,
  ): number {
    const queues = this.queues;
    const bufferBytes = this.#bufferBytes[queue]!;
    const count = queues.count[queue]!;
    let status = meta.status;
    let info = meta.info;
    let done = 0;
    let head = queues.head[queue]!;
    const split = this.#splitBytes(queue, packet, length);
    if (split > 0) {
      const at = (queues.base[queue]! + head * DESCRIPTOR_BYTES) >>> 2;
      domain.beforeRead(at * 4, DESCRIPTOR_BYTES);
      // bit 0 of the header address is the done bit's place
      this.#writePayload(domain, domain.i32[at + 2]! & ~1, domain.i32[at + 3]!, from, offset, split);
      info |= (split << HEADER_LENGTH_SHIFT) | SPLIT_HEADER;
      done = split;
    } else if (split < 0) {
      status |= RX_ERROR.headerBufferOverflow;
    }
    let first = true;
    do {
      const at = queues.base[queue]! + head * DESCRIPTOR_BYTES;
      const chunk = Math.min(length - done, bufferBytes);
      const last = done + chunk === length;
      if (chunk > 0) {
        domain.beforeRead(at, DESCRIPTOR_BYTES);
        this.#writePayload(
          domain,
          domain.i32[at >>> 2]!,
          domain.i32[(at >>> 2) + 1]!,
          from,
          offset + done,
          chunk,
        );
      }
      // the header fields belong to the descriptor that holds the header, everything else to the last one
      const word0 = first ? info : last ? meta.info : 0;
      if (last) {
        const ended = status | RX_STATUS.done | RX_STATUS.endOfPacket;
        domain.writeDescriptor(at, word0, meta.hash, ended, chunk | (meta.vlanTag << 16));
      } else {
        domain.writeDescriptor(at, word0, 0, RX_STATUS.done, chunk);
      }
      done += chunk;
      first = false;
      head = head + 1 === count ? 0 : head + 1;
    } while (done < length);
    return head;
  }

  /** Bytes that go to the header buffer; 0: no split; -1: the header is larger than its buffer. */
  #splitBytes(queue: number, packet: Packet, length: number): number {
    const type = this.#descriptorType[queue]!;
    if (type !== DESCTYPE.split && type !== DESCTYPE.splitAlways) return 0;
    const room = Math.min(this.#headerBytes[queue]!, MAX_HEADER_LENGTH);
    const header = headerBytesOf(packet, this.#words[psrtypeOffset(queue >> 1) >> 2]!);
    if (header > room) return -1;
    if (header > 0) return Math.min(header, length);
    return type === DESCTYPE.splitAlways ? Math.min(length, room) : 0;
  }

  /** Legacy descriptors keep the address: only bytes 8-15 are written. */
  #placeLegacy(
    queue: number,
    domain: IommuDomain,
    from: Bytes,
    offset: number,
    length: number,
    meta: RxMeta,
  ): number {
    const queues = this.queues;
    const bufferBytes = this.#bufferBytes[queue]!;
    const count = queues.count[queue]!;
    let head = queues.head[queue]!;
    for (let done = 0; done < length; ) {
      const at = queues.base[queue]! + head * DESCRIPTOR_BYTES;
      const chunk = Math.min(length - done, bufferBytes);
      domain.beforeRead(at, DESCRIPTOR_BYTES);
      this.#writePayload(
        domain,
        domain.i32[at >>> 2]!,
        domain.i32[(at >>> 2) + 1]!,
        from,
        offset + done,
        chunk,
      );
      done += chunk;
      const last = done === length;
      // the advanced format's low status bits and checksum errors, moved to one byte each
      const status = last ? (meta.status & 0x78) | RX_STATUS.done | RX_STATUS.endOfPacket : RX_STATUS.done;
      const errors = last ? (meta.status >>> 24) & 0xc0 : 0;
      domain.writeDescriptorEnd(at, chunk, status | (errors << 8) | (last ? meta.vlanTag << 16 : 0));
      head = head + 1 === count ? 0 : head + 1;
    }
    return head;
  }
}

/** Length of the longest header that PSRTYPE names and the packet has; 0 if none. */
function headerBytesOf(packet: Packet, psrtype: number): number {
  const type = packet.type;
  if (packet.l4Offset !== 0) {
    if ((type & PACKET_TYPE.tcp) !== 0 && (psrtype & PSRTYPE.tcp) !== 0)
      return packet.l4Offset + packet.l4HeaderBytes;
    if ((type & PACKET_TYPE.udp) !== 0 && (psrtype & PSRTYPE.udp) !== 0)
      return packet.l4Offset + packet.l4HeaderBytes;
  }
  const ipv4 = (type & PACKET_TYPE.ipv4) !== 0 && (psrtype & PSRTYPE.ipv4) !== 0;
  const ipv6 = (type & PACKET_TYPE.ipv6) !== 0 && (psrtype & PSRTYPE.ipv6) !== 0;
  if (ipv4 || ipv6) return packet.l3HeaderEnd;
  return (psrtype & PSRTYPE.l2) !== 0 ? packet.l3Offset || ETHERNET_HEADER_BYTES : 0;
}
