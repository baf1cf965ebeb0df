/**
 * How long the core may look away. A ring gives slack: so many descriptors can go before the core has to be back.
 *
 *   scan     what is posted: a head that passes the tail last seen has lapped the core
 *   shadow   a ring: slots that the driver refilled wait for the core, and neither the device nor the driver may run dry
 *            meanwhile; between them they have the rest of the ring to work on
 *
 *   time between looks = slack / rate / looks per slack, at most MAX_SLEEP
 *
 * A sleep costs some 15 us of CPU time, as much as following 500 descriptors, and lasts WAKE longer than it is asked to:
 * few long sleeps are what keeps the core cheap. Where even the shortest would take too much of the slack, it does not sleep.
 *
 * The rate is taken over windows longer than the device's bursts: over a single turn, a batch of the engine's would look
 * like the highest rate there is, and the core would never sleep.
 */

/** What a thread's timed wait takes beyond its time: timer slack, two context switches. */
const WAKE_NS = 70_000;
/** A shorter wait than this ends no sooner. */
const SHORTEST_NS = 20_000;
/** Of the slack's time, the most that one wait may take. */
const MOST_OF_SLACK = 0.8;
/** A control write by the guest wakes the core; this bounds how stale heads and counters in a shadow page get. */
const MAX_SLEEP_NS = 400_000;
const WINDOW_NS = 150_000;
/** Weight of the newest window in the rate's average when it falls. */
const NEWEST = 0.25;

export class Pacing {
  readonly #looksPerSlack: number;
  #perNs = 0;
  #windowStartNs = -1;
  #consumed = 0;
  #known = false;
  #sleepNs = 0;

  constructor(looksPerSlack: number) {
    this.#looksPerSlack = looksPerSlack;
  }

  /** After a look at `nowNs` that found `consumed` descriptors gone; `slackSlots` can go unseen. */
  looked(nowNs: number, consumed: number, slackSlots: number): void {
    this.#consumed += consumed;
    const windowNs = nowNs - this.#windowStartNs;
    if (this.#windowStartNs < 0) {
      // until the first window has shown a rate, the core stays awake
      this.#windowStartNs = nowNs;
      this.#consumed = 0;
    } else if (windowNs >= WINDOW_NS) {
      const perNs = this.#consumed / windowNs;
      // a rise counts at once, a fall slowly: to sleep too long costs packets, to wake too often only cycles
      this.#perNs = perNs > this.#perNs ? perNs : this.#perNs + NEWEST * (perNs - this.#perNs);
      this.#windowStartNs = nowNs;
      this.#consumed = 0;
      this.#known = true;
    }
    if (!this.#known) return;
    const lastsNs = this.#perNs > 0 ? slackSlots / this.#perNs : Number.POSITIVE_INFINITY;
    const sleepNs = Math.min(MAX_SLEEP_NS, lastsNs / this.#looksPerSlack - WAKE_NS);
    if (sleepNs >= SHORTEST_NS) this.#sleepNs = sleepNs;
    else this.#sleepNs = lastsNs * MOST_OF_SLACK > WAKE_NS + SHORTEST_NS ? SHORTEST_NS : 0;
  }

  get sleepNs(): number {
    return this.#sleepNs;
  }
}
