/**
 * Steps a station (the production TrafficPeer and its loads) in virtual time: when frames arrive and when it is due, as
 * event-loop-driver.ts does in real time.
 */
import type { Steppable } from '../../../hardware/wire/event-loop-driver.js';
import type { Scheduler } from '../../clockwork/scheduler.js';

/** A station never steps more often than this, whatever it says. */
const SHORTEST_TURN_NS = 1_000;
const IDLE_TURN_NS = 100_000;
/** Steps in a row while there is work. */
const MOST_STEPS = 8;

export class VirtualDriver {
  readonly #scheduler: Scheduler;
  readonly #station: Steppable;
  readonly #what: string;
  #armedForNs = Number.POSITIVE_INFINITY;
  #disarm: () => void = () => {};
  #isStepping = false;

  constructor(scheduler: Scheduler, station: Steppable, what: string) {
    this.#scheduler = scheduler;
    this.#station = station;
    this.#what = what;
    station.onWake = () => this.wake();
  }

  /** Something changed: it steps soon. */
  wake(): void {
    if (!this.#isStepping) this.#arm(this.#scheduler.nowNs());
  }

  /** It never steps again. */
  stop(): void {
    this.#station.onWake = null;
    this.#disarm();
  }

  #arm(dueNs: number): void {
    const nowNs = this.#scheduler.nowNs();
    const atNs = Math.max(Math.ceil(dueNs), nowNs + SHORTEST_TURN_NS);
    if (atNs >= this.#armedForNs) return;
    this.#disarm();
    this.#armedForNs = atNs;
    this.#disarm = this.#scheduler.atHardware(atNs - nowNs, this.#what, this.#step);
  }

  readonly #step = (): void => {
    this.#armedForNs = Number.POSITIVE_INFINITY;
    this.#isStepping = true;
    let steps = 1;
    while (this.#station.step() > 0 && steps < MOST_STEPS) steps++;
    this.#isStepping = false;
    if (steps === MOST_STEPS) this.#arm(this.#scheduler.nowNs());
    else this.#rest();
  };

  #rest(): void {
    const dueNs = this.#station.nextDueNs();
    if (dueNs === Number.POSITIVE_INFINITY) return;
    const nowNs = this.#scheduler.nowNs();
    // a load that is due and had nothing to do waits for something that it cannot name
    this.#arm(dueNs > nowNs ? dueNs : nowNs + IDLE_TURN_NS);
  }
}
