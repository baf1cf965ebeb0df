/**
 * The embedded switch: which pools a frame goes to, and whether a VF may send it (vf-hardware 5.4).
 *
 *   destination -> exact addresses (RAR + MPSAR), multicast hash (ROMPE), BAM, MPE, UPE
 *               -> VLAN: port bitmap (VFTA), then the VLAN's pools (VLVF); untagged: AUPE
 *               -> nobody left: the default pool, if there is one and the port's own filter took the frame
 *               -> minus the sender, minus pools that may not receive (VFRE)
 *
 * Filters are decoded into tables when CONTROL.filterVersion moved: a frame costs one hash look-up.
 */
import {
  FCTRL,
  FCTRL_BAM,
  FCTRL_MPE,
  FCTRL_UPE,
  mpsarHiOffset,
  mpsarLoOffset,
  mtaOffset,
  PFDTXGSWC,
  PFDTXGSWC_LOOPBACK,
  pfVfSpoofOffset,
  RAH_VALID,
  RAR_COUNT,
  rahOffset,
  ralOffset,
  SSVPC,
  VLNCTRL,
  VLNCTRL_VFE,
  VLVF_COUNT,
  VLVF_VALID,
  VMOLR_AUPE,
  VMOLR_BAM,
  VMOLR_MPE,
  VMOLR_ROMPE,
  VMOLR_UPE,
  VMOLR_VPE,
  VT_CTL,
  VT_CTL_NO_DEFAULT_POOL,
  VT_CTL_REPLICATION,
  vfreOffset,
  vftaOffset,
  vlvfbOffset,
  vlvfOffset,
  vmecmOffset,
  vmolrOffset,
} from './offsets.js';
import type { Packet } from './packet.js';
import { CONTROL, type NicShared, POOL_COUNT, REGION } from './shared.js';

/** Slots of the address table: four times the entries, so that probes stay short. Power of two. */
const TABLE_SLOTS = 512;
const NO_SOURCE = -1;

/** Pools whose VMOLR has a bit, as two 32-bit halves. */
class PoolMask {
  low = 0;
  high = 0;

  add(pool: number): void {
    if (pool < 32) this.low |= 1 << pool;
    else this.high |= 1 << (pool - 32);
  }

  clear(): void {
    this.low = this.high = 0;
  }
}

export class L2Switch {
  /** Result of select(): bit p of the pair = pool p gets the frame. */
  poolsLow = 0;
  poolsHigh = 0;
  /** Result of select(): a unicast address of this card's own; the frame has no business on the wire. */
  exact = false;
  readonly #words: Int32Array;
  #version = -1;
  // address table: open addressing on both halves of the MAC; an unused slot has no pools and is not `used`
  readonly #used = new Uint8Array(TABLE_SLOTS);
  readonly #macLow = new Int32Array(TABLE_SLOTS);
  readonly #macHigh = new Int32Array(TABLE_SLOTS);
  readonly #macPoolsLow = new Int32Array(TABLE_SLOTS);
  readonly #macPoolsHigh = new Int32Array(TABLE_SLOTS);
  readonly #unicastAll = new PoolMask();
  readonly #multicastAll = new PoolMask();
  readonly #multicastHash = new PoolMask();
  readonly #broadcast = new PoolMask();
  readonly #untagged = new PoolMask();
  readonly #vlanAll = new PoolMask();

  constructor(shared: NicShared) {
    this.#words = shared.words;
  }

  /** Call once a step: decodes the filters again if one was written. */
  refresh(): void {
    const version = Atomics.load(this.#words, REGION.control + CONTROL.filterVersion);
    if (version === this.#version) return;
    this.#version = version;
    this.#buildAddresses();
    this.#buildModes();
  }

  get loopback(): boolean {
    return (this.#words[PFDTXGSWC >> 2]! & PFDTXGSWC_LOOPBACK) !== 0;
  }

  /** A frame that came in from the wire. False: nobody wants it. */
  selectFromWire(packet: Packet): boolean {
    return this.#select(packet, NO_SOURCE);
  }

  /** A frame that `pool` sends, VLAN tag already in place. False: it goes to the wire only. */
  selectFromPool(packet: Packet, pool: number): boolean {
    return this.#select(packet, pool);
  }

  /** Whether the anti-spoof checks forbid `pool` to send this frame; counts it if so. */
  isSpoofed(packet: Packet, pool: number): boolean {
    const checks = this.#words[pfVfSpoofOffset(pool >> 3) >> 2]! >>> (pool & 7);
    if ((checks & 0x101) === 0) return false;
    const wrongMac = (checks & 1) !== 0 && !this.#ownsAddress(pool, packet.sourceLow, packet.sourceHigh);
    const wrongVlan = (checks & 0x100) !== 0 && packet.tagged && !this.#inVlan(pool, packet.vlanTag & 0xfff);
    if (!wrongMac && !wrongVlan) return false;
    Atomics.add(this.#words, SSVPC >> 2, 1);
    Atomics.or(this.#words, vmecmOffset(pool >> 5) >> 2, 1 << (pool & 31));
    return true;
  }

  #select(packet: Packet, source: number): boolean {
    const words = this.#words;
    let low = 0;
    let high = 0;
    let passedPort = false;
    const slot = this.#find(packet.destinationLow, packet.destinationHigh);
    if (slot >= 0) {
      low = this.#macPoolsLow[slot]!;
      high = this.#macPoolsHigh[slot]!;
      passedPort = true;
    }
    let exact = (low | high) !== 0;
    const multicast = packet.multicast;
    if (multicast) {
      exact = false;
      const broadcast = packet.broadcast;
      const all = broadcast ? this.#broadcast : this.#multicastAll;
      low |= all.low;
      high |= all.high;
      if (!broadcast && this.#inMulticastTable(packet.destinationHigh)) {
        low |= this.#multicastHash.low;
        high |= this.#multicastHash.high;
        passedPort = true;
      }
      passedPort ||= (words[FCTRL >> 2]! & (broadcast ? FCTRL_BAM : FCTRL_MPE)) !== 0;
    } else {
      low |= this.#unicastAll.low;
      high |= this.#unicastAll.high;
      passedPort ||= (words[FCTRL >> 2]! & FCTRL_UPE) !== 0;
    }
    this.exact = exact;
    return this.#narrow(packet, source, low, high, passedPort);
  }

  /** VLAN, default pool, receive enables, replication: from candidates to the pools that get the frame. */
  #narrow(
    packet: Packet,
    source: number,
    candidatesLow: number,
    candidatesHigh: number,
    passedPort: boolean,
  ): boolean {
    const words = this.#words;
    let low = candidatesLow;
    let high = candidatesHigh;
    if ((words[VLNCTRL >> 2]! & VLNCTRL_VFE) !== 0) {
      if (packet.tagged) {
        const vid = packet.vlanTag & 0xfff;
        // a VLAN that the port does not carry: nobody gets it, the default pool neither
        const carried = ((words[vftaOffset(vid >> 5) >> 2]! >>> (vid & 31)) & 1) !== 0;
        const entry = carried ? this.#findVlan(vid) : -1;
        low &= this.#vlanAll.low | (entry < 0 ? 0 : words[vlvfbOffset(entry, 0) >> 2]!);
        high &= this.#vlanAll.high | (entry < 0 ? 0 : words[vlvfbOffset(entry, 1) >> 2]!);
        passedPort &&= carried;
      } else {
        low &= this.#untagged.low;
        high &= this.#untagged.high;
      }
    }
    const vtCtl = words[VT_CTL >> 2]!;
    if ((low | high) === 0 && passedPort && source === NO_SOURCE && (vtCtl & VT_CTL_NO_DEFAULT_POOL) === 0) {
      const pool = (vtCtl >>> 7) & 0x3f;
      if (pool < 32) low = 1 << pool;
      else high = 1 << (pool - 32);
    }
    low &= words[vfreOffset(0) >> 2]!;
    high &= words[vfreOffset(1) >> 2]!;
    if (source >= 32) high &= ~(1 << (source - 32));
    else if (source >= 0) low &= ~(1 << source);
    if ((vtCtl & VT_CTL_REPLICATION) === 0) {
      // without replication one pool gets the frame: the lowest
      low &= -low;
      high = low !== 0 ? 0 : high & -high;
    }
    this.poolsLow = low;
    this.poolsHigh = high;
    if ((low | high) === 0) this.exact = false;
    return (low | high) !== 0;
  }

  #find(macLow: number, macHigh: number): number {
    let slot = hashOf(macLow, macHigh);
    while (this.#used[slot] !== 0) {
      if (this.#macLow[slot] === macLow && this.#macHigh[slot] === macHigh) return slot;
      slot = (slot + 1) & (TABLE_SLOTS - 1);
    }
    return -1;
  }

  #ownsAddress(pool: number, macLow: number, macHigh: number): boolean {
    const slot = this.#find(macLow, macHigh);
    if (slot < 0) return false;
    const pools = pool < 32 ? this.#macPoolsLow[slot]! : this.#macPoolsHigh[slot]!;
    return ((pools >>> (pool & 31)) & 1) !== 0;
  }

  #inVlan(pool: number, vid: number): boolean {
    const entry = this.#findVlan(vid);
    if (entry < 0) return false;
    return ((this.#words[vlvfbOffset(entry, pool >> 5) >> 2]! >>> (pool & 31)) & 1) !== 0;
  }

  #findVlan(vid: number): number {
    const words = this.#words;
    for (let entry = 0; entry < VLVF_COUNT; entry++) {
      const value = words[vlvfOffset(entry) >> 2]!;
      if ((value & VLVF_VALID) !== 0 && (value & 0xfff) === vid) return entry;
    }
    return -1;
  }

  /** 4096-bit table over bits 47:36 of the address (MCSTCTRL.MO = 0). */
  #inMulticastTable(macHigh: number): boolean {
    const hash = (macHigh >>> 4) & 0xfff;
    return ((this.#words[mtaOffset(hash >> 5) >> 2]! >>> (hash & 31)) & 1) !== 0;
  }

  #buildAddresses(): void {
    const words = this.#words;
    this.#used.fill(0);
    for (let entry = 0; entry < RAR_COUNT; entry++) {
      const high = words[rahOffset(entry) >> 2]!;
      if ((high & RAH_VALID) === 0) continue;
      const macLow = words[ralOffset(entry) >> 2]!;
      const macHigh = high & 0xffff;
      let slot = hashOf(macLow, macHigh);
      while (this.#used[slot] !== 0 && (this.#macLow[slot] !== macLow || this.#macHigh[slot] !== macHigh)) {
        slot = (slot + 1) & (TABLE_SLOTS - 1);
      }
      if (this.#used[slot] === 0) {
        this.#used[slot] = 1;
        this.#macLow[slot] = macLow;
        this.#macHigh[slot] = macHigh;
        this.#macPoolsLow[slot] = this.#macPoolsHigh[slot] = 0;
      }
      this.#macPoolsLow[slot] = this.#macPoolsLow[slot]! | words[mpsarLoOffset(entry) >> 2]!;
      this.#macPoolsHigh[slot] = this.#macPoolsHigh[slot]! | words[mpsarHiOffset(entry) >> 2]!;
    }
  }

  #buildModes(): void {
    const masks: readonly (readonly [PoolMask, number])[] = [
      [this.#unicastAll, VMOLR_UPE],
      [this.#multicastAll, VMOLR_MPE],
      [this.#multicastHash, VMOLR_ROMPE],
      [this.#broadcast, VMOLR_BAM],
      [this.#untagged, VMOLR_AUPE],
      [this.#vlanAll, VMOLR_VPE],
    ];
    for (const [mask, bit] of masks) {
      mask.clear();
      for (let pool = 0; pool < POOL_COUNT; pool++) {
        if ((this.#words[vmolrOffset(pool) >> 2]! & bit) !== 0) mask.add(pool);
      }
    }
  }
}

function hashOf(macLow: number, macHigh: number): number {
  return (Math.imul(macLow ^ (macHigh << 13), 0x9e3779b1) >>> 16) & (TABLE_SLOTS - 1);
}
