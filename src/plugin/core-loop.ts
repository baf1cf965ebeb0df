/**
 * The loop round a plugin's core, without the thread: the worker, the simulator and the conformance kit drive it.
 *
 *   host:  request += 1, wake        core:  seen = request -> step() -> acknowledge(seen)
 *
 * A turn acknowledges only requests made before it started: what the requester did before asking was looked at.
 */
import type { Clock } from '../hardware/clock.js';
import type { Core } from './core-api.js';
import type { BarPages } from './device-view.js';

/** Int32 words of the loop's control memory. */
export const CORE_CONTROL = {
  /** Incremented by the host for every whole turn it wants. */
  turnRequest: 0,
  /** Non-zero: end after this turn. */
  stop: 1,
  /** Non-zero: the core may be made. Until then its thread is only loaded. */
  go: 2,
} as const;
export const CORE_CONTROL_WORDS = 16;

/** Between two steps of a turn that waits for the device. */
const OPEN_NS = 30_000;
/** How long a core without an opinion sleeps when a turn found nothing. */
const IDLE_NS = 100_000;

export interface CoreLoopCounters {
  readonly turns: number;
  readonly idleTurns: number;
  readonly longestTurnGapNs: number;
  readonly turnWallNs: number;
}

export class CoreLoop {
  readonly core: Core;
  readonly #pages: BarPages;
  readonly #clock: Clock;
  readonly #control: Int32Array;
  readonly #acknowledge: (sequence: number) => void;
  #acknowledged = 0;
  /** The request that the turn under way will acknowledge, and whether it is under way. */
  #request = 0;
  #open = false;
  #lastWork = 0;
  #lastStartNs = -1;
  #turns = 0;
  #idleTurns = 0;
  #longestGapNs = 0;
  #turnWallNs = 0;

  /** @param makeCore may map pages to shadow: who writes and reads one before the first turn waits for it, however far off */
  constructor(
    makeCore: () => Core,
    pages: BarPages,
    clock: Clock,
    control: Int32Array,
    acknowledge: (sequence: number) => void,
  ) {
    this.#pages = pages;
    this.#clock = clock;
    this.#control = control;
    this.#acknowledge = acknowledge;
    pages.turnStarted();
    this.core = makeCore();
  }

  get stopRequested(): boolean {
    return Atomics.load(this.#control, CORE_CONTROL.stop) !== 0;
  }

  /** One step: a whole turn, or a part of one that waits for the device. Returns the work it found. */
  step(): number {
    if (!this.#open) {
      this.#request = Atomics.load(this.#control, CORE_CONTROL.turnRequest);
      this.#pages.turnStarted();
    }
    const startNs = this.#clock.nowNs();
    if (this.#lastStartNs >= 0)
      this.#longestGapNs = Math.max(this.#longestGapNs, startNs - this.#lastStartNs);
    this.#lastStartNs = startNs;
    const work = this.core.step();
    this.#open = this.core.turnOpen ?? false;
    this.#turnWallNs += this.#clock.nowNs() - startNs;
    this.#lastWork = work;
    if (!this.#open) this.#endTurn(work);
    return work;
  }

  get turnOpen(): boolean {
    return this.#open;
  }

  #endTurn(work: number): void {
    this.#pages.turnEnded();
    this.#turns++;
    if (work === 0) this.#idleTurns++;
    if (this.#request === this.#acknowledged) return;
    this.#acknowledged = this.#request;
    this.#acknowledge(this.#request);
  }

  /** How long the core may sleep now, ns; 0 when it is wanted at once. */
  idleNs(): number {
    if (this.#open) return OPEN_NS;
    if (Atomics.load(this.#control, CORE_CONTROL.turnRequest) !== this.#acknowledged) return 0;
    if (this.stopRequested) return 0;
    if (this.core.idleNs) return this.core.idleNs();
    return this.#lastWork === 0 ? IDLE_NS : 0;
  }

  counters(): CoreLoopCounters {
    return {
      turns: this.#turns,
      idleTurns: this.#idleTurns,
      longestTurnGapNs: this.#longestGapNs,
      turnWallNs: this.#turnWallNs,
    };
  }
}
