/**
 * How long the core may look away. A ring gives slack: the device can only consume what is posted, so the core must be back
 * before that much could have been consumed at the rate that was lately seen.
 *
 *   slack = posted / rate          sleep = slack / LOOKS_PER_SLACK, at most MAX_SLEEP
 */

/** Looks within the time that the posted descriptors last. */
const LOOKS_PER_SLACK = 4;
/** A control write by the guest wakes the core; this bounds how stale heads and counters in a shadow page get. */
const MAX_SLEEP_NS = 400_000;
/** Weight of the newest look in the rate's average, of 1. */
const NEWEST = 0.25;

export class Pacing {
  #perNs = 0;
  #lastNs = -1;
  #sleepNs = 0;

  /** After a look at `nowNs` that found `consumed` descriptors gone and `posted` left to the device. */
  looked(nowNs: number, consumed: number, posted: number, running: boolean): void {
    const tookNs = nowNs - this.#lastNs;
    if (this.#lastNs >= 0 && tookNs > 0) {
      const perNs = consumed / tookNs;
      // a rise counts at once, a fall slowly: to sleep too long costs packets, to wake too often only cycles
      this.#perNs = perNs > this.#perNs ? perNs : this.#perNs + NEWEST * (perNs - this.#perNs);
    }
    this.#lastNs = nowNs;
    const slackNs = this.#perNs > 0 ? posted / this.#perNs : Number.POSITIVE_INFINITY;
    this.#sleepNs = running ? Math.min(MAX_SLEEP_NS, slackNs / LOOKS_PER_SLACK) : MAX_SLEEP_NS;
  }

  get sleepNs(): number {
    return this.#sleepNs;
  }
}
