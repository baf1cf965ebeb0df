/**
 * The port's filter tables, as the PF driver keeps them: 128 station addresses with their pools, the multicast hash
 * table that all pools share, 64 VLANs with their pools. Everything is written through the PF's BAR; the driver never
 * reads back what it wrote.
 */
import {
  MTA_WORDS,
  mpsarHiOffset,
  mpsarLoOffset,
  mtaOffset,
  RAH_VALID,
  RAR_COUNT,
  rahOffset,
  ralOffset,
  VLVF_COUNT,
  VLVF_VALID,
  vftaOffset,
  vlvfbOffset,
  vlvfOffset,
} from '../hardware/nic/offsets.js';
import type { PfBar } from '../hardware/nic/pf-bar.js';
import { macHigh, macLow } from './mac.js';

/** A filter table of the card that has no room left. */
export class FilterTableFullError extends Error {
  constructor(what: string, room: number) {
    super(`the card's table of ${what} is full: it has ${room} entries`);
    this.name = 'FilterTableFullError';
  }
}

const poolBit = (pool: number): number => 1 << (pool & 31);

export class PfFilters {
  readonly #bar: PfBar;
  readonly #addresses: ({ mac: string; pool: number } | null)[] = new Array(RAR_COUNT).fill(null);
  /** Slot 0 is VLAN 0's, as the stock driver has it. */
  readonly #vlans: ({ vid: number; low: number; high: number } | null)[] = new Array(VLVF_COUNT).fill(null);
  readonly #multicast: (readonly number[])[] = [];
  #multicastWords = new Int32Array(MTA_WORDS);

  constructor(bar: PfBar) {
    this.#bar = bar;
  }

  /** Lets a pool receive an address. @throws FilterTableFullError */
  addAddress(mac: string, pool: number): void {
    if (this.#addresses.some((entry) => entry?.mac === mac && entry.pool === pool)) return;
    const entry = this.#addresses.indexOf(null);
    if (entry < 0) throw new FilterTableFullError('addresses', RAR_COUNT);
    this.#addresses[entry] = { mac, pool };
    this.#write(ralOffset(entry), macLow(mac));
    this.#write(mpsarLoOffset(entry), pool < 32 ? poolBit(pool) : 0);
    this.#write(mpsarHiOffset(entry), pool < 32 ? 0 : poolBit(pool));
    // last: from here on the entry counts
    this.#write(rahOffset(entry), macHigh(mac) | RAH_VALID);
  }

  removeAddress(mac: string, pool: number): void {
    const entry = this.#addresses.findIndex((each) => each?.mac === mac && each.pool === pool);
    if (entry < 0) return;
    this.#addresses[entry] = null;
    for (const offset of [rahOffset, ralOffset, mpsarLoOffset, mpsarHiOffset]) this.#write(offset(entry), 0);
  }

  /** Replaces the hashes of a pool. The table is shared: a bit goes when no pool wants it. */
  setMulticast(pool: number, hashes: readonly number[]): void {
    this.#multicast[pool] = hashes;
    const words = new Int32Array(MTA_WORDS);
    for (const wanted of this.#multicast) {
      for (const hash of wanted ?? []) words[(hash >>> 5) & 0x7f]! |= 1 << (hash & 31);
    }
    for (let i = 0; i < MTA_WORDS; i++) {
      if (words[i] !== this.#multicastWords[i]) this.#write(mtaOffset(i), words[i]!);
    }
    this.#multicastWords = words;
  }

  /** Lets a pool into a VLAN, or out of it. @throws FilterTableFullError */
  setVlan(vid: number, pool: number, on: boolean): void {
    let entry = vid === 0 ? 0 : this.#vlans.findIndex((each) => each !== null && each.vid === vid);
    if (entry < 0 && on) entry = this.#vlans.indexOf(null, 1);
    if (entry < 0) {
      if (!on) return;
      throw new FilterTableFullError('VLANs', VLVF_COUNT);
    }
    const vlan = (this.#vlans[entry] ??= { vid, low: 0, high: 0 });
    if (pool < 32) vlan.low = on ? vlan.low | poolBit(pool) : vlan.low & ~poolBit(pool);
    else vlan.high = on ? vlan.high | poolBit(pool) : vlan.high & ~poolBit(pool);
    const used = (vlan.low | vlan.high) !== 0;
    this.#write(vlvfbOffset(entry, 0), vlan.low);
    this.#write(vlvfbOffset(entry, 1), vlan.high);
    this.#write(vlvfOffset(entry), used ? vid | VLVF_VALID : 0);
    if (!used) this.#vlans[entry] = null;
    this.#writeVlanBitmap(vid >>> 5);
  }

  #writeVlanBitmap(word: number): void {
    let bits = 0;
    for (const vlan of this.#vlans) {
      if (vlan !== null && vlan.vid >>> 5 === word) bits |= 1 << (vlan.vid & 31);
    }
    this.#write(vftaOffset(word), bits);
  }

  #write(offset: number, value: number): void {
    this.#bar.write32(0, offset, value);
  }
}
