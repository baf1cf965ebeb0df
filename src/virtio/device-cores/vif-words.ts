/**
 * What the management interface sets on a virtual interface (VIF), in memory that all cores of the device share: its rate,
 * its filters, and what they did. Any core may read it at any frame; only the main thread writes the settings.
 */

const WORD = {
  rateMbps: 0,
  flags: 1,
  held: 2,
  spoofed: 3,
  filtered: 4,
  offWire: 5,
  missed: 6,
  vlans: 16,
} as const;
const VLAN_COUNT = 4096;
const WORDS = WORD.vlans + VLAN_COUNT / 32;
const FLAG = { spoofCheck: 1, promiscuous: 2, multicast: 4, anyVlan: 8 } as const;

export interface VifFilters {
  /** Frames with another source address than the VIF's are not sent. */
  readonly spoofCheck: boolean;
  /** Frames for any address come in, other VIFs' included. */
  readonly promiscuous: boolean;
  /** Multicast comes in; broadcast always does. */
  readonly multicast: boolean;
  /** VLANs whose tagged frames may pass, both ways; null: all. Untagged ones always may. */
  readonly vlans: readonly number[] | null;
}

export const DEFAULT_FILTERS: VifFilters = {
  spoofCheck: true,
  promiscuous: false,
  multicast: true,
  vlans: null,
};

/** What became of frames at the settings' hands. */
export interface VifCounts {
  /** Turns in which frames had to wait for the rate. */
  readonly held: number;
  /** Frames of the guest that were not sent: another's address, a VLAN that is not its own. */
  readonly spoofed: number;
  /** Frames for it that did not pass. */
  readonly filtered: number;
  /** Frames for it while it was not served, or another core would not let go of it. */
  readonly missed: number;
}

export class VifError extends Error {
  override readonly name = 'VifError';
}

/** 0: unlimited. @throws VifError */
export function checkRate(rateMbps: number): number {
  if (Number.isInteger(rateMbps) && rateMbps >= 0 && rateMbps <= 1_000_000) return rateMbps;
  throw new VifError(`a rate of ${rateMbps} Mb/s: give a whole number from 1 to 1000000, or 0 for none`);
}

export const createVifWords = (): SharedArrayBuffer => new SharedArrayBuffer(WORDS * 4);

export class VifWords {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  get rateMbps(): number {
    return Atomics.load(this.#words, WORD.rateMbps);
  }

  /** @throws VifError */
  set rateMbps(value: number) {
    Atomics.store(this.#words, WORD.rateMbps, checkRate(value));
  }

  get filters(): VifFilters {
    const flags = Atomics.load(this.#words, WORD.flags);
    const vlans: number[] = [];
    for (let vid = 0; vid < VLAN_COUNT; vid++) if (this.#hasVlan(vid)) vlans.push(vid);
    return {
      spoofCheck: (flags & FLAG.spoofCheck) !== 0,
      promiscuous: (flags & FLAG.promiscuous) !== 0,
      multicast: (flags & FLAG.multicast) !== 0,
      vlans: (flags & FLAG.anyVlan) !== 0 ? null : vlans,
    };
  }

  /** @throws VifError */
  set filters({ spoofCheck, promiscuous, multicast, vlans }: VifFilters) {
    for (const vid of vlans ?? []) {
      if (!(Number.isInteger(vid) && vid >= 0 && vid < VLAN_COUNT))
        throw new VifError(`VLAN ${vid}: there are 0 to ${VLAN_COUNT - 1}`);
    }
    const words = this.#words;
    const bits = new Int32Array(VLAN_COUNT / 32);
    for (const vid of vlans ?? []) bits[vid >> 5]! |= 1 << (vid & 31);
    const flags =
      (spoofCheck ? FLAG.spoofCheck : 0) |
      (promiscuous ? FLAG.promiscuous : 0) |
      (multicast ? FLAG.multicast : 0) |
      (vlans === null ? FLAG.anyVlan : 0);
    // the cores look meanwhile: what may pass before and after may pass at every moment between
    if (vlans === null) Atomics.store(words, WORD.flags, flags);
    for (const [index, word] of bits.entries()) Atomics.store(words, WORD.vlans + index, word);
    Atomics.store(words, WORD.flags, flags);
  }

  get checksSource(): boolean {
    return (this.#words[WORD.flags]! & FLAG.spoofCheck) !== 0;
  }

  get takesAll(): boolean {
    return (this.#words[WORD.flags]! & FLAG.promiscuous) !== 0;
  }

  get takesMulticast(): boolean {
    return (this.#words[WORD.flags]! & (FLAG.multicast | FLAG.promiscuous)) !== 0;
  }

  /** Whether a frame of this VLAN may pass; -1: untagged. */
  passesVlan(vid: number): boolean {
    return vid < 0 || (this.#words[WORD.flags]! & FLAG.anyVlan) !== 0 || this.#hasVlan(vid);
  }

  countHeld(): void {
    Atomics.add(this.#words, WORD.held, 1);
  }

  countSpoofed(): void {
    Atomics.add(this.#words, WORD.spoofed, 1);
  }

  countFiltered(): void {
    Atomics.add(this.#words, WORD.filtered, 1);
  }

  countMissed(): void {
    Atomics.add(this.#words, WORD.missed, 1);
  }

  /** The guest is elsewhere: what is sent to it from here goes out on the wire. */
  get isHere(): boolean {
    return this.#words[WORD.offWire] === 0;
  }

  set isHere(here: boolean) {
    Atomics.store(this.#words, WORD.offWire, here ? 0 : 1);
  }

  counts(): VifCounts {
    const at = (word: number): number => Atomics.load(this.#words, word) >>> 0;
    return {
      held: at(WORD.held),
      spoofed: at(WORD.spoofed),
      filtered: at(WORD.filtered),
      missed: at(WORD.missed),
    };
  }

  #hasVlan(vid: number): boolean {
    return ((this.#words[WORD.vlans + (vid >> 5)]! >>> (vid & 31)) & 1) !== 0;
  }
}
