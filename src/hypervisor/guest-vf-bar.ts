/**
 * A VF's BARs as its guest sees them: the device's, with the guest's statistics continued over migrations.
 *
 * A VF's counters cannot be written, and a counter that ran backwards would look to a driver like a wrap. So the hypervisor
 * adds an offset to reads of the five counters, in 32 or 36 bits (on silicon: an exit for those few registers). Whoever
 * reads for the guest, the vCPU or a tracker that refreshes a shadow page, reads through this.
 */
import { VF } from '../hardware/nic/offsets.js';
import type { VfBar } from '../hardware/nic/vf-bar.js';
import { BAR_WORD } from './bar-map.js';

/** A VF's counters as the guest reads them. Octets are 36 bits wide, the others 32. */
export interface VfStatistics {
  readonly goodPacketsReceived: number;
  readonly goodOctetsReceived: number;
  readonly multicastPacketsReceived: number;
  readonly goodPacketsSent: number;
  readonly goodOctetsSent: number;
}

const TWO_32 = 0x1_0000_0000;
const TWO_36 = 0x10_0000_0000;

/** Words of the offsets, from BAR_WORD.statistics on. */
const OFFSET = { gprc: 0, mprc: 1, gptc: 2, gorcLow: 3, gorcHigh: 4, gotcLow: 5, gotcHigh: 6 } as const;

const LAST_THROTTLE = VF.VTEITR + 8;
const isThrottle = (offset: number): boolean => offset >= VF.VTEITR && offset <= LAST_THROTTLE;

export class GuestVfBar {
  readonly #bar: VfBar;
  readonly #words: Int32Array;

  /** @param barMap buffer of the VF's BarMap: the offsets live there, for all threads */
  constructor(bar: VfBar, barMap: SharedArrayBuffer) {
    this.#bar = bar;
    this.#words = new Int32Array(barMap);
  }

  read32(bar: 0 | 3, offset: number): number {
    // a plain load: the word changes only while the vCPU stands still
    if (this.#words[BAR_WORD.statisticsOn] === 0 || bar !== 0) return this.#bar.read32(bar, offset);
    return this.#readContinued(offset);
  }

  write32(bar: 0 | 3, offset: number, value: number): void {
    if (bar === 0 && isThrottle(offset) && this.#words[BAR_WORD.throttleOwned] !== 0) return;
    this.#bar.write32(bar, offset, value);
  }

  statistics(): VfStatistics {
    const read = (offset: number): number => this.read32(0, offset);
    return {
      goodPacketsReceived: read(VF.GPRC),
      goodOctetsReceived: read(VF.GORC_LSB) + read(VF.GORC_MSB) * TWO_32,
      multicastPacketsReceived: read(VF.MPRC),
      goodPacketsSent: read(VF.GPTC),
      goodOctetsSent: read(VF.GOTC_LSB) + read(VF.GOTC_MSB) * TWO_32,
    };
  }

  /** From now on the guest's counters go on from these values. Only while the vCPU stands still. */
  continueFrom(values: VfStatistics): void {
    const words = this.#words;
    const base = BAR_WORD.statistics;
    Atomics.store(words, BAR_WORD.statisticsOn, 0);
    const now = this.statistics();
    const octets = (lowWord: number, wanted: number, is: number): void => {
      const offset = (((wanted - is) % TWO_36) + TWO_36) % TWO_36;
      Atomics.store(words, base + lowWord, (offset % TWO_32) | 0);
      Atomics.store(words, base + lowWord + 1, Math.floor(offset / TWO_32));
    };
    Atomics.store(words, base + OFFSET.gprc, (values.goodPacketsReceived - now.goodPacketsReceived) | 0);
    Atomics.store(
      words,
      base + OFFSET.mprc,
      (values.multicastPacketsReceived - now.multicastPacketsReceived) | 0,
    );
    Atomics.store(words, base + OFFSET.gptc, (values.goodPacketsSent - now.goodPacketsSent) | 0);
    octets(OFFSET.gorcLow, values.goodOctetsReceived, now.goodOctetsReceived);
    octets(OFFSET.gotcLow, values.goodOctetsSent, now.goodOctetsSent);
    Atomics.store(words, BAR_WORD.statisticsOn, 1);
  }

  #readContinued(offset: number): number {
    switch (offset) {
      case VF.GPRC:
        return this.#plus(offset, OFFSET.gprc);
      case VF.MPRC:
        return this.#plus(offset, OFFSET.mprc);
      case VF.GPTC:
        return this.#plus(offset, OFFSET.gptc);
      case VF.GORC_LSB:
        return this.#plus(offset, OFFSET.gorcLow);
      case VF.GOTC_LSB:
        return this.#plus(offset, OFFSET.gotcLow);
      case VF.GORC_MSB:
        return this.#high(VF.GORC_LSB, offset, OFFSET.gorcLow);
      case VF.GOTC_MSB:
        return this.#high(VF.GOTC_LSB, offset, OFFSET.gotcLow);
      default:
        return this.#bar.read32(0, offset);
    }
  }

  #plus(offset: number, word: number): number {
    return (this.#bar.read32(0, offset) + this.#words[BAR_WORD.statistics + word]!) >>> 0;
  }

  #high(lowOffset: number, highOffset: number, word: number): number {
    const offsetLow = this.#words[BAR_WORD.statistics + word]! >>> 0;
    const offsetHigh = this.#words[BAR_WORD.statistics + word + 1]!;
    // the card counts on: the carry must be of the same moment as the high register
    for (let high = this.#bar.read32(0, highOffset); ; ) {
      const carry = this.#bar.read32(0, lowOffset) + offsetLow >= TWO_32 ? 1 : 0;
      const again = this.#bar.read32(0, highOffset);
      if (again === high) return (high + offsetHigh + carry) & 0xf;
      high = again;
    }
  }
}
