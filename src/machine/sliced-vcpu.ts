/**
 * A vCPU without a thread: it runs in slices in its caller's, who decides at each of the guest's polls whether a slice is
 * over and when the next one begins. For the simulator; orders and events are those of the vCPU in a worker.
 *
 *   slice -> enter ... poll: leave? -> unwind -> running | waiting | throttled       (slice again then)
 *         -> paused                              (slice again when the command word changed)
 *         -> over
 */
import type { Clock, WordWait } from '../hardware/clock.js';
import { compileAtFullSpeed } from './full-speed.js';
import type { GuestBus } from './guest-bus.js';
import { GuestRun } from './guest-run.js';
import { CTRL, layoutFor, VCPU_COMMAND } from './layout.js';
import { controlWords } from './memory.js';
import { throttledSleepMs, type VcpuBoot } from './vcpu.js';
import { standingOrder, VcpuReporter } from './vcpu-reporter.js';

export interface SliceHost {
  readonly bus: GuestBus;
  readonly clock: Clock;
  /** Called at every poll of the guest's, where it can be stopped: true ends the slice. */
  poll(): boolean;
}

/** Why a slice is over, and what the next one waits for. A slice that begins early does no harm. */
export type SliceEnd =
  /** The host's poll, or an order, ended it. */
  | { readonly kind: 'running' }
  /** wait-for-interrupt: until CTRL.irqSequence is no longer `sequence`, for at most `limitMs` (Infinity: no limit). */
  | { readonly kind: 'waiting'; readonly sequence: number; readonly limitMs: number }
  /** A throttled vCPU gives this time away. */
  | { readonly kind: 'throttled'; readonly sleepMs: number }
  /** Until CTRL.command is no longer `command`. */
  | { readonly kind: 'paused'; readonly command: number }
  /** Halted, trapped or stopped. */
  | { readonly kind: 'over' };

const RUNNING: SliceEnd = { kind: 'running' };
const OVER: SliceEnd = { kind: 'over' };

/** The attention word between polls: the guest calls out at each, and a 1 that somebody else stored still shows. */
const ALWAYS = 2;
const RUNG = 1;

export class SlicedVcpu {
  readonly #control: Int32Array;
  readonly #guest: GuestRun;
  readonly #reporter: VcpuReporter;
  readonly #host: SliceHost;
  #end: SliceEnd = RUNNING;
  /** Set by a wait inside the guest: its next poll leaves. */
  #mustLeave = false;
  /** The pause that was answered last. */
  #pausedFor: number | null = null;
  #over = false;

  /** Compiles the plain build, and posts `prepared`. */
  constructor({ image, memory, port }: VcpuBoot, host: SliceHost) {
    compileAtFullSpeed();
    const { bus, clock } = host;
    this.#host = host;
    this.#control = controlWords(memory, layoutFor(image.ramBytes));
    const reporter = new VcpuReporter(this.#control, port, clock);
    this.#reporter = reporter;
    this.#guest = new GuestRun({
      image,
      memory,
      bus,
      clock,
      reporter,
      wait: this.#noteWait,
      leave: () => this.#atPoll(),
    });
    reporter.prepared();
  }

  /** Runs until the guest was unwound, or ended, or may not run. Never throws for a guest. */
  slice(): SliceEnd {
    if (this.#over) return OVER;
    const order = standingOrder(this.#control);
    if (order.kind === 'stop') return this.#finish(() => this.#reporter.stopped());
    if (order.kind === 'pause') {
      if (this.#pausedFor !== order.command) this.#reporter.paused(order.command);
      this.#pausedFor = order.command;
      return { kind: 'paused', command: order.command };
    }
    this.#pausedFor = null;
    this.#reporter.running();
    // one that was rung between two slices is heard at the first poll
    Atomics.compareExchange(this.#control, CTRL.attention, 0, ALWAYS);
    this.#end = RUNNING;
    this.#mustLeave = false;
    try {
      const result = this.#guest.enter();
      if (result === null) return this.#end;
      return this.#finish(() => this.#reporter.halted(result >>> 0));
    } catch (error) {
      return this.#finish(() => this.#reporter.trapped(error));
    }
  }

  #finish(report: () => void): SliceEnd {
    this.#over = true;
    report();
    return OVER;
  }

  #atPoll(): boolean {
    const control = this.#control;
    const isRung = Atomics.exchange(control, CTRL.attention, ALWAYS) === RUNG;
    const hostWants = this.#host.poll();
    if (Atomics.load(control, CTRL.command) !== VCPU_COMMAND.none || this.#mustLeave) return true;
    const throttlePercent = control[CTRL.throttlePercent];
    if (isRung && throttlePercent > 0) {
      this.#end = { kind: 'throttled', sleepMs: throttledSleepMs(throttlePercent) };
      return true;
    }
    return hostWants;
  }

  /** The guest's wait returns at once, as one may; a poll follows every wait, and there it leaves. */
  readonly #noteWait: WordWait = (_words, _index, seen, limitMs) => {
    this.#end = { kind: 'waiting', sequence: seen, limitMs };
    this.#mustLeave = true;
  };
}
