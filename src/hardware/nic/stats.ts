/**
 * The counters that the engine keeps in the register image (vf-hardware 1.3, 5.5). A counter moves before the head that
 * it belongs to: whoever reads a head first and a counter second never counts fewer packets than the head has passed.
 *
 * A pool's counters are written by the engine alone, so plain adds do; the port's are cleared by reads from other
 * threads, so they are gathered here and added once a step.
 */
import {
  BPRC,
  GPRC,
  GPTC,
  MPC,
  MPRC,
  vfgorcHighOffset,
  vfgorcLowOffset,
  vfgotcHighOffset,
  vfgotcLowOffset,
  vfgprcOffset,
  vfgptcOffset,
  vfmprcOffset,
} from './offsets.js';
import type { NicShared } from './shared.js';

/** Octet counters run over the frame and its CRC. */
export const CRC_BYTES = 4;
/** Octets are counted in 36 bits: the high register holds four. */
const OCTETS_HIGH_MASK = 0xf;

export class NicStats {
  readonly #words: Int32Array;
  #portRx = 0;
  #portTx = 0;
  #portMulticast = 0;
  #portBroadcast = 0;
  #portMissed = 0;

  constructor(shared: NicShared) {
    this.#words = shared.words;
  }

  /** A packet was put into one of the pool's queues. */
  countRx(pool: number, frameBytes: number, multicast: boolean): void {
    const words = this.#words;
    const packets = vfgprcOffset(pool) >> 2;
    words[packets] = words[packets]! + 1;
    this.#addOctets(vfgorcLowOffset(pool) >> 2, vfgorcHighOffset(pool) >> 2, frameBytes + CRC_BYTES);
    if (multicast) {
      const multicasts = vfmprcOffset(pool) >> 2;
      words[multicasts] = words[multicasts]! + 1;
    }
  }

  countTx(pool: number, frameBytes: number): void {
    const words = this.#words;
    const packets = vfgptcOffset(pool) >> 2;
    words[packets] = words[packets]! + 1;
    this.#addOctets(vfgotcLowOffset(pool) >> 2, vfgotcHighOffset(pool) >> 2, frameBytes + CRC_BYTES);
  }

  /** A good frame came in from the wire. */
  countPortRx(multicast: boolean, broadcast: boolean): void {
    this.#portRx++;
    if (broadcast) this.#portBroadcast++;
    else if (multicast) this.#portMulticast++;
  }

  countPortTx(): void {
    this.#portTx++;
  }

  /** A frame was thrown away because a drop-enabled queue had no descriptor. */
  countMissed(): void {
    this.#portMissed++;
  }

  /** Adds what was gathered to the port's registers. */
  flush(): void {
    const words = this.#words;
    if (this.#portRx !== 0) Atomics.add(words, GPRC >> 2, this.#portRx);
    if (this.#portTx !== 0) Atomics.add(words, GPTC >> 2, this.#portTx);
    if (this.#portMulticast !== 0) Atomics.add(words, MPRC >> 2, this.#portMulticast);
    if (this.#portBroadcast !== 0) Atomics.add(words, BPRC >> 2, this.#portBroadcast);
    if (this.#portMissed !== 0) Atomics.add(words, MPC >> 2, this.#portMissed);
    this.#portRx = this.#portTx = this.#portMulticast = this.#portBroadcast = this.#portMissed = 0;
  }

  #addOctets(lowWord: number, highWord: number, octets: number): void {
    const words = this.#words;
    const low = (words[lowWord]! >>> 0) + octets;
    words[lowWord] = low | 0;
    if (low > 0xffff_ffff) words[highWord] = (words[highWord]! + 1) & OCTETS_HIGH_MASK;
  }
}
