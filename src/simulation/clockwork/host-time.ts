/**
 * One host's main thread as its code sees time: a clock, timers, and turns of the event loop, all virtual. After crash()
 * nothing of it happens any more.
 */
import type { TimerClock } from '../../hardware/clock.js';
import type { Choices } from './choices.js';
import { PhysicalCores } from './physical-cores.js';
import type { Scheduler } from './scheduler.js';
import type { VirtualCore } from './virtual-core.js';

/** Reading a clock costs time: a loop that waits for a deadline comes to its end. */
const CLOCK_READ_NS = 25;
/** As Node's timers: not under a millisecond, and late rather than early. */
const SHORTEST_TIMER_MS = 1;
const TIMER_SLACK_NS = 100_000;
const TURN_NS = 4_000;
/** A message from another thread. */
const MESSAGE_MIN_NS = 1_000;
const MESSAGE_MAX_NS = 20_000;

export interface HostTimeOptions {
  /** How many of its cores can run at the same time; the main thread has one of its own. Default: all. */
  readonly physicalCores?: number;
}

export class HostTime implements TimerClock {
  readonly name: string;
  /** Its main thread, as the event log has it. */
  readonly actor: string;
  /** Its devices. */
  readonly hardwareActor: string;
  /** Null: each core of the host has a physical one. */
  readonly physicalCores: PhysicalCores | null;
  readonly cores: VirtualCore[] = [];
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #crashCalls: (() => void)[] = [];
  #isCrashed = false;
  #lastMessageNs = 0;
  #timers = 0;

  constructor(name: string, scheduler: Scheduler, choices: Choices, options: HostTimeOptions) {
    this.name = name;
    this.actor = `${name}/main`;
    this.hardwareActor = `${name}/hardware`;
    const count = options.physicalCores;
    this.physicalCores = count === undefined ? null : new PhysicalCores(count);
    this.#scheduler = scheduler;
    this.#choices = choices;
  }

  get isCrashed(): boolean {
    return this.#isCrashed;
  }

  nowNs(): number {
    return this.#scheduler.passTime(CLOCK_READ_NS);
  }

  after(delayMs: number, call: () => void): () => void {
    const delayNs = Math.max(delayMs, SHORTEST_TIMER_MS) * 1e6 + this.#choices.int(TIMER_SLACK_NS);
    this.#timers++;
    let isPending = true;
    const settle = (): void => {
      if (!isPending) return;
      isPending = false;
      this.#timers--;
    };
    const fire = (): void => {
      settle();
      call();
    };
    const cancel = this.#scheduler.at(delayNs, 'timer', fire, this);
    return () => {
      settle();
      cancel();
    };
  }

  /** Timers that have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers;
  }

  yield(): Promise<void> {
    return new Promise((resolve) => {
      this.#scheduler.at(1 + this.#choices.int(TURN_NS), 'turn', resolve, this);
    });
  }

  /** What another thread's postMessage is: the call happens on this main thread a little later, in the order posted. */
  post(what: string, call: () => void): void {
    const nowNs = this.#scheduler.nowNs();
    const dueNs = Math.max(
      this.#lastMessageNs,
      nowNs + this.#choices.between(MESSAGE_MIN_NS, MESSAGE_MAX_NS),
    );
    this.#lastMessageNs = dueNs;
    this.#scheduler.at(dueNs - nowNs, what, call, this);
  }

  /** Its timers never fire again, its cores never step again. */
  crash(): void {
    if (this.#isCrashed) return;
    this.#isCrashed = true;
    this.#scheduler.log.add(this.#scheduler.nowNs(), this.actor, 'crash');
    for (const core of this.cores) core.kill();
    for (const call of this.#crashCalls) call();
  }

  /** Called once, when the host crashes, at once if it has: who is outside of it learns of it in his own way. */
  onCrash(call: () => void): void {
    if (this.#isCrashed) call();
    else this.#crashCalls.push(call);
  }
}
