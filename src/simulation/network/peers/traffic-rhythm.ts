/**
 * Traffic that comes and goes: full rate for a while, then next to nothing. A run under full rate all the time shows no
 * more than this one, and costs several times as much.
 */
import type { Choices } from '../../clockwork/choices.js';

const BUSY_NS = [300_000, 3_000_000] as const;
const QUIET_NS = [0, 6_000_000] as const;
/** Of the full rate. */
const QUIET_SHARE = 1 / 20;

export class TrafficRhythm {
  readonly #choices: Choices;
  #isBusy = false;
  #untilNs = 0;

  constructor(choices: Choices) {
    this.#choices = choices;
  }

  /** In how long something is due at this time that at full rate would be due in `inNs`. */
  stretch(inNs: number, nowNs: number): number {
    while (nowNs >= this.#untilNs) {
      this.#isBusy = !this.#isBusy;
      const [leastNs, mostNs] = this.#isBusy ? BUSY_NS : QUIET_NS;
      this.#untilNs = nowNs + this.#choices.between(leastNs, mostNs);
    }
    if (this.#isBusy) return inNs;
    // full rate begins on time, however long the pause would have been
    return Math.min(inNs / QUIET_SHARE, Math.max(inNs, this.#untilNs - nowNs));
  }
}
