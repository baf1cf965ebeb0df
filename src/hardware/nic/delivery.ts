/**
 * From a frame to the queues that get it, whether it came in from the wire or from another function of this card.
 *
 *   length limits -> switch (pools) -> per pool: RSS (queue), VLAN strip -> admit all -> verify checksums -> place all
 *
 * A frame is taken by all its receivers or by none: where one of them has no descriptor and no drop enable, the frame
 * stays with its sender, and nothing has been written yet.
 */

import { type Bytes, bytesOf, copyBytes } from '../bytes.js';
import { MAX_FRAME_BYTES } from '../wire/wire.js';
import { RX_STATUS } from './descriptors.js';
import type { L2Switch } from './l2-switch.js';
import { verifyChecksums } from './offload.js';
import { MAXFRS } from './offsets.js';
import { ETHERNET_HEADER_BYTES, Packet, VLAN_TAG_BYTES } from './packet.js';
import { isBusMaster } from './queue-set.js';
import type { Rss } from './rss.js';
import { ADMIT, type Admit, type RxMeta, type RxPath } from './rx.js';
import type { NicShared } from './shared.js';
import { CRC_BYTES, type NicStats } from './stats.js';

/** Shortest frame on a wire, without CRC: both directions pad to it. */
export const MIN_FRAME_BYTES = 60;
const DEFAULT_MAX_FRAME_BYTES = 1518;
const MAC_BYTES = 12;

export class Delivery {
  readonly #words: Int32Array;
  readonly #rx: RxPath;
  readonly #switch: L2Switch;
  readonly #rss: Rss;
  readonly #stats: NicStats;
  readonly #packet = new Packet();
  readonly #strippedPacket = new Packet();
  readonly #padded = bytesOf(new Uint8Array(MIN_FRAME_BYTES));
  readonly #stripped = bytesOf(new Uint8Array(MAX_FRAME_BYTES + VLAN_TAG_BYTES));
  readonly #meta: RxMeta = { info: 0, hash: 0, status: 0, vlanTag: 0 };

  constructor(shared: NicShared, rx: RxPath, l2: L2Switch, rss: Rss, stats: NicStats) {
    this.#words = shared.words;
    this.#rx = rx;
    this.#switch = l2;
    this.#rss = rss;
    this.#stats = stats;
  }

  /** A frame from the wire. False: the wire has to keep it. */
  fromWire(from: Bytes, offset: number, length: number): boolean {
    if (length < MIN_FRAME_BYTES) return this.#fromWireShort(from, offset, length);
    const packet = this.#packet;
    packet.readLayer2(from.view, offset, length);
    if (!this.fits(packet, length)) return true;
    if (!this.#switch.selectFromWire(packet)) return true;
    if (!this.deliver(packet, from, offset, length, 0)) return false;
    this.#stats.countPortRx(packet.multicast, packet.broadcast);
    return true;
  }

  /**
   * Puts a frame into the pools that the switch selected last. False: held, nothing was written.
   *
   * @param packet layer 2 already read.
   * @param status write-back status bits known beforehand (loopback).
   */
  deliver(packet: Packet, from: Bytes, offset: number, length: number, status: number): boolean {
    const low = this.#switch.poolsLow;
    const high = this.#switch.poolsHigh;
    packet.readUpperLayers(from.view, offset, length);
    // one receiver is the rule: admit and place without walking the masks twice
    if ((low & (low - 1)) === 0 && (high & (high - 1)) === 0 && (low === 0 || high === 0)) {
      const pool = low !== 0 ? 31 - Math.clz32(low) : 63 - Math.clz32(high);
      const queue = this.#queueOf(pool, packet, from, offset);
      const admit = this.#admit(queue, packet, length, 1);
      if (admit === ADMIT.hold) return false;
      if (admit === ADMIT.drop) this.#stats.countMissed();
      else this.#place(queue, packet, from, offset, length, status | verifyChecksums(from, offset, packet));
      return true;
    }
    if (!this.canTake(packet, from, offset, length, 1)) return false;
    const verified = status | verifyChecksums(from, offset, packet);
    for (let pools = low, base = 0; base < 64; pools = high, base += 32) {
      for (; pools !== 0; pools &= pools - 1) {
        const pool = base + 31 - Math.clz32(pools & -pools);
        const queue = this.#queueOf(pool, packet, from, offset);
        if (this.#admit(queue, packet, length, 1) === ADMIT.take) {
          this.#place(queue, packet, from, offset, length, verified);
        } else {
          this.#stats.countMissed();
        }
      }
    }
    return true;
  }

  /** Whether a receiver may be given a frame of this length. The port's limit counts the CRC, and leaves room for a tag. */
  fits(packet: Packet, length: number): boolean {
    const limit = this.#words[MAXFRS >> 2]! >>> 16 || DEFAULT_MAX_FRAME_BYTES;
    const tagBytes = packet.tagged ? VLAN_TAG_BYTES : 0;
    return length <= limit - CRC_BYTES + tagBytes && length <= MAX_FRAME_BYTES + tagBytes;
  }

  /** Whether no receiver that the switch selected would make `frames` such frames wait. */
  canTake(packet: Packet, from: Bytes, offset: number, length: number, frames: number): boolean {
    const high = this.#switch.poolsHigh;
    for (let pools = this.#switch.poolsLow, base = 0; base < 64; pools = high, base += 32) {
      for (; pools !== 0; pools &= pools - 1) {
        const pool = base + 31 - Math.clz32(pools & -pools);
        const queue = this.#queueOf(pool, packet, from, offset);
        if (this.#admit(queue, packet, length, frames) === ADMIT.hold) return false;
      }
    }
    return true;
  }

  #queueOf(pool: number, packet: Packet, from: Bytes, offset: number): number {
    return pool * 2 + this.#rss.choose(pool, packet, from.view, offset);
  }

  #admit(queue: number, packet: Packet, length: number, frames: number): Admit {
    if (!isBusMaster(this.#words, queue >> 1)) return ADMIT.drop;
    const stripped = packet.tagged && this.#rx.stripsVlan(queue) ? VLAN_TAG_BYTES : 0;
    return this.#rx.admit(queue, length - stripped, frames);
  }

  /** The queue's RSS result is still in #rss: #queueOf() ran for this very pool. */
  #place(queue: number, packet: Packet, from: Bytes, offset: number, length: number, status: number): void {
    const meta = this.#meta;
    meta.info = packet.type | this.#rss.type;
    meta.hash = this.#rss.hash;
    meta.status = status;
    meta.vlanTag = 0;
    if (!packet.tagged || !this.#rx.stripsVlan(queue)) {
      this.#rx.place(queue, packet, from, offset, length, meta);
      return;
    }
    meta.status |= RX_STATUS.vlanStripped;
    meta.vlanTag = packet.vlanTag;
    const frame = this.#stripped;
    const strippedBytes = length - VLAN_TAG_BYTES;
    copyBytes(from, offset, frame, 0, MAC_BYTES);
    copyBytes(from, offset + MAC_BYTES + VLAN_TAG_BYTES, frame, MAC_BYTES, strippedBytes - MAC_BYTES);
    this.#strippedPacket.readLayer2(frame.view, 0, strippedBytes);
    this.#strippedPacket.readUpperLayers(frame.view, 0, strippedBytes);
    this.#rx.place(queue, this.#strippedPacket, frame, 0, strippedBytes, meta);
  }

  /** Wires that carry datagrams or files may hand frames that no cable would: padded here. */
  #fromWireShort(from: Bytes, offset: number, length: number): boolean {
    if (length < ETHERNET_HEADER_BYTES) return true;
    copyBytes(from, offset, this.#padded, 0, length);
    this.#padded.u8.fill(0, length);
    return this.fromWire(this.#padded, 0, MIN_FRAME_BYTES);
  }
}
