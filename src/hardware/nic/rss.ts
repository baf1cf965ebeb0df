/**
 * Which of its queues a pool gets a frame in. Receive-side scaling (MRQC, RSSRK, RETA): the Toeplitz hash of a packet's
 * addresses and ports, and the queue that the redirection table makes of it; or, with traffic classes (RTRUP2TC), the
 * priority in a frame's VLAN tag: a queue for each class, no hash, and what has no tag is of priority 0. The key is expanded into one table of 256 words per input byte, so that a hash is
 * 12 (IPv4 with ports) or 36 (IPv6 with ports) look-ups.
 */
import { PACKET_TYPE, psrtypeQueueBits, RSS_TYPE } from './descriptors.js';
import {
  MRQC,
  MRQC_VMDQ_CLASSES,
  MRQC_VMDQ_RSS_32,
  MRQC_VMDQ_RSS_64,
  psrtypeOffset,
  RTRUP2TC,
  retaOffset,
  rssKeyOffset,
} from './offsets.js';
import type { Packet } from './packet.js';
import { CONTROL, type NicShared, REGION } from './shared.js';

const KEY_WORDS = 10;
const INPUT_BYTES = 36;
const PRIORITY_SHIFT = 13;
const CLASS_BITS = 3;
const FIELD = {
  ipv4Tcp: 1 << 16,
  ipv4: 1 << 17,
  ipv6: 1 << 20,
  ipv6Tcp: 1 << 21,
  ipv4Udp: 1 << 22,
  ipv6Udp: 1 << 23,
} as const;

export class Rss {
  /** Results of choose(). */
  hash = 0;
  /** RSS_TYPE of the hash, none when nothing was hashed. */
  type = 0;
  readonly #words: Int32Array;
  readonly #tables = new Int32Array(INPUT_BYTES * 256);
  readonly #key = new Uint8Array(KEY_WORDS * 4);
  #version = -1;
  #fields = 0;
  #byClass = false;

  constructor(shared: NicShared) {
    this.#words = shared.words;
  }

  /** Call once a step. */
  refresh(): void {
    const words = this.#words;
    const version = Atomics.load(words, REGION.control + CONTROL.filterVersion);
    if (version === this.#version) return;
    this.#version = version;
    const mrqc = words[MRQC >> 2]!;
    const mode = mrqc & 0xf;
    this.#byClass = mode === MRQC_VMDQ_CLASSES;
    this.#fields = mode === MRQC_VMDQ_RSS_32 || mode === MRQC_VMDQ_RSS_64 ? mrqc & 0xffff_0000 : 0;
    if (this.#fields !== 0 && this.#readKey()) this.#expandKey();
  }

  /** Hashes a frame and returns its pool's queue, 0 or 1. */
  choose(pool: number, packet: Packet, view: DataView, offset: number): number {
    this.hash = 0;
    this.type = RSS_TYPE.none;
    if (this.#byClass) return this.#classOf(packet);
    if (this.#fields === 0 || !this.#classify(packet)) return 0;
    const ipv4 = (packet.type & PACKET_TYPE.ipv4) !== 0;
    const addresses = offset + packet.l3Offset + (ipv4 ? 12 : 8);
    const addressBytes = ipv4 ? 8 : 32;
    const tables = this.#tables;
    let hash = 0;
    for (let i = 0; i < addressBytes; i++) hash ^= tables[(i << 8) | view.getUint8(addresses + i)]!;
    if (this.type !== RSS_TYPE.ipv4 && this.type !== RSS_TYPE.ipv6) {
      const ports = offset + packet.l4Offset;
      for (let i = 0; i < 4; i++) hash ^= tables[((addressBytes + i) << 8) | view.getUint8(ports + i)]!;
    }
    this.hash = hash;
    if (psrtypeQueueBits(this.#words[psrtypeOffset(pool) >> 2]!) === 0) return 0;
    const entry = hash & 0x7f;
    return (this.#words[retaOffset(entry >> 2) >> 2]! >>> ((entry & 3) << 3)) & 1;
  }

  /** A pool of this card has two queues: classes beyond them share the second. */
  #classOf(packet: Packet): number {
    const priority = packet.tagged ? packet.vlanTag >>> PRIORITY_SHIFT : 0;
    return Math.min((this.#words[RTRUP2TC >> 2]! >>> (priority * CLASS_BITS)) & 7, 1);
  }

  #classify(packet: Packet): boolean {
    const type = packet.type;
    const fields = this.#fields;
    if ((type & PACKET_TYPE.ipv4) !== 0) {
      if ((type & PACKET_TYPE.tcp) !== 0 && (fields & FIELD.ipv4Tcp) !== 0) this.type = RSS_TYPE.ipv4Tcp;
      else if ((type & PACKET_TYPE.udp) !== 0 && (fields & FIELD.ipv4Udp) !== 0) this.type = RSS_TYPE.ipv4Udp;
      else if ((fields & FIELD.ipv4) !== 0) this.type = RSS_TYPE.ipv4;
    } else if ((type & PACKET_TYPE.ipv6) !== 0) {
      if ((type & PACKET_TYPE.tcp) !== 0 && (fields & FIELD.ipv6Tcp) !== 0) this.type = RSS_TYPE.ipv6Tcp;
      else if ((type & PACKET_TYPE.udp) !== 0 && (fields & FIELD.ipv6Udp) !== 0) this.type = RSS_TYPE.ipv6Udp;
      else if ((fields & FIELD.ipv6) !== 0) this.type = RSS_TYPE.ipv6;
    }
    return this.type !== RSS_TYPE.none;
  }

  /** True if the key is another one than last time. */
  #readKey(): boolean {
    let changed = false;
    for (let i = 0; i < KEY_WORDS * 4; i++) {
      const byte = (this.#words[rssKeyOffset(i >> 2) >> 2]! >>> ((i & 3) << 3)) & 0xff;
      changed ||= byte !== this.#key[i];
      this.#key[i] = byte;
    }
    return changed;
  }

  /** The hash of a byte at each position of the input: linear, so that each value is a smaller one and one bit more. */
  #expandKey(): void {
    const key = this.#key;
    const tables = this.#tables;
    const windows = new Int32Array(8);
    for (let position = 0; position < INPUT_BYTES; position++) {
      // the 32 key bits that begin at this byte, and at each further bit of it
      const high =
        (key[position]! << 24) | (key[position + 1]! << 16) | (key[position + 2]! << 8) | key[position + 3]!;
      windows[0] = high;
      for (let bit = 1; bit < 8; bit++) windows[bit] = (high << bit) | (key[position + 4]! >>> (8 - bit));
      const first = position << 8;
      tables[first] = 0;
      for (let value = 1; value < 256; value++) {
        const bit = Math.clz32(value & -value) - 24;
        tables[first | value] = tables[first | (value & (value - 1))]! ^ windows[bit]!;
      }
    }
  }
}
