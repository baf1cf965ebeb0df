/** The VF's counters as a driver reads them: they only count up, over resets and over migrations. */
import { VF } from '../../../hardware/nic/offsets.js';
import { complain } from './complaints.js';
import { count, type GuestCounter, readCounter } from './counters.js';
import type { Mmio } from './mmio.js';
import type { GuestState } from './state.js';

const WORDS = [VF.GPRC, VF.MPRC, VF.GPTC, VF.GORC_LSB, VF.GORC_MSB, VF.GOTC_LSB, VF.GOTC_MSB] as const;
const [, , , GORC_LOW, GORC_HIGH, GOTC_LOW, GOTC_HIGH] = [0, 1, 2, 3, 4, 5, 6] as const;
const TWO_32 = 0x1_0000_0000;
const TWO_36 = 0x10_0000_0000;
/** A counter that was read so long ago must have counted whatever was taken before. */
const SETTLED_NS = 100_000_000;

export class Statistics {
  readonly #state: GuestState;
  readonly #mmio: Mmio;

  constructor(state: GuestState, mmio: Mmio) {
    this.#state = state;
    this.#mmio = mmio;
  }

  read(nowNs: number): void {
    const state = this.#state;
    const words = WORDS.map((register) => this.#mmio.read(register));
    const isFirst = state.getNs('statisticsNs') === 0;
    if (!isFirst) {
      for (const index of [0, 1, 2] as const) this.#compare(index, words[index]! >>> 0, TWO_32, index);
      this.#compareOctets(GORC_LOW, GORC_HIGH, words);
      this.#compareOctets(GOTC_LOW, GOTC_HIGH, words);
      this.#compareTaken(words[0]!, nowNs);
    }
    words.forEach((word, i) => {
      state.set('statistics', word, i);
    });
    if (isFirst) this.#remember(nowNs);
    count(state, 'statistics-read');
  }

  #compare(index: number, after: number, modulus: number, register: number): void {
    const before = this.#state.get('statistics', index) >>> 0;
    if (ranBack(before, after, modulus))
      complain(this.#state, 'statistics-back', WORDS[register]!, before, after);
  }

  /** The two halves are read one after the other: a carry in between shows as a leap forward by at most 2^32. */
  #compareOctets(low: number, high: number, words: readonly number[]): void {
    const state = this.#state;
    const whole = (lowWord: number, highWord: number): number => (highWord & 0xf) * TWO_32 + (lowWord >>> 0);
    const before = whole(state.get('statistics', low), state.get('statistics', high));
    const after = whole(words[low]!, words[high]!);
    if (ranBack(before, after, TWO_36)) {
      complain(state, 'statistics-back', WORDS[low]!, before | 0, after | 0);
    }
  }

  /** Whatever had been taken at the last look, from the first boot on, is counted by now. */
  #compareTaken(received: number, nowNs: number): void {
    const state = this.#state;
    if (nowNs - state.getNs('statisticsNs') < SETTLED_NS) return;
    const taken = state.get('takenAtStatistics') >>> 0;
    if (taken > received >>> 0) complain(state, 'statistics-behind', taken, received);
    this.#remember(nowNs);
  }

  #remember(nowNs: number): void {
    const state = this.#state;
    const taken = TAKEN.reduce((sum, counter) => sum + readCounter(state, counter), 0);
    state.set('takenAtStatistics', taken);
    state.setNs('statisticsNs', nowNs);
  }
}

const TAKEN: readonly GuestCounter[] = ['framesTaken', 'framesForeign'];

const ranBack = (before: number, after: number, modulus: number): boolean =>
  (after - before + modulus) % modulus >= modulus / 2;
