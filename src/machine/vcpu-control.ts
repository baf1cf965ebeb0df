/**
 * The main thread's hand on a vCPU. Orders go through the control page, so that they reach a guest in the middle of a
 * loop; answers come back as events.
 *
 *   created --prepared--> paused <--pause / resume--> running --> halted | trapped        any --stop--> stopped
 */
import type { TimerClock } from '../hardware/clock.js';
import { raiseInterruptLine, wakeVcpu } from './interrupt-lines.js';
import {
  COMMAND_NUMBER_SHIFT,
  CTRL,
  MAX_THROTTLE_PERCENT,
  THROTTLE_SLICE_MS,
  VCPU_BUILD,
  VCPU_COMMAND,
} from './layout.js';
import { controlWords, holdVcpu } from './memory.js';
import type { TrapReport, VcpuEvent } from './vcpu-events.js';
import type { CommonVcpuState, VcpuExit, VcpuKind } from './vcpu-kind.js';

export type VcpuPhase =
  | { readonly kind: 'created' }
  | { readonly kind: 'paused'; readonly atNs: number }
  | { readonly kind: 'running'; readonly atNs: number }
  | { readonly kind: 'halted'; readonly exitCode: number; readonly atNs: number }
  | { readonly kind: 'trapped'; readonly report: TrapReport; readonly atNs: number }
  | { readonly kind: 'stopped' };

/** Which phase may follow which. */
const TRANSITIONS: Readonly<Record<VcpuPhase['kind'], readonly VcpuPhase['kind'][]>> = {
  created: ['paused', 'running', 'trapped', 'stopped'],
  paused: ['running', 'halted', 'trapped', 'stopped'],
  running: ['paused', 'halted', 'trapped', 'stopped'],
  halted: ['stopped'],
  trapped: ['stopped'],
  stopped: [],
};

/** An order that the vCPU's phase does not allow. */
export class VcpuPhaseError extends Error {
  constructor(from: string, wanted: string) {
    super(`the vCPU is ${from}, so it cannot ${wanted}`);
    this.name = 'VcpuPhaseError';
  }
}

export interface VcpuListener {
  onPhase?(phase: VcpuPhase): void;
  onConsole?(line: string): void;
  /** Bytes for a terminal, of guests that have one. */
  onTerminal?(bytes: Uint8Array): void;
}

export type BuildName = keyof typeof VCPU_BUILD;

/** After the guest started to run: by then whatever waited for that has had the processor. */
const COMPILE_LOGGING_AFTER_MS = 150;

export class VcpuControl<State extends CommonVcpuState = CommonVcpuState> {
  /** Resolves when the plain build is instantiated: from then on a resume takes effect at once. */
  readonly prepared: Promise<void>;
  readonly #kind: VcpuKind<State>;
  readonly #control: Int32Array;
  readonly #clockOffset: Float64Array;
  readonly #clock: TimerClock;
  readonly #listener: VcpuListener;
  readonly #waiters: { done: () => boolean; resolve: () => void }[] = [];
  #phase: VcpuPhase = { kind: 'created' };
  #ready = false;
  /** The worker's runVcpu has come to its end. */
  #workerEnded = false;
  /** Orders given so far, and the latest that a pause has answered. */
  #orders = 0;
  #pausedFor = -1;
  #cancelThrottle: (() => void) | null = null;
  #cancelLogging: (() => void) | null = null;

  /** The vCPU starts held: it runs at the first resume. */
  constructor(
    kind: VcpuKind<State>,
    memory: WebAssembly.Memory,
    timers: TimerClock,
    listener: VcpuListener = {},
  ) {
    const { layout } = kind;
    this.#kind = kind;
    this.#control = controlWords(memory, layout);
    this.#clockOffset = new Float64Array(memory.buffer, layout.controlOffset + CTRL.clockOffset * 4, 1);
    this.#clock = timers;
    this.#listener = listener;
    holdVcpu(memory, layout);
    this.prepared = this.#until(() => this.#ready && this.#phase.kind !== 'created');
  }

  get phase(): VcpuPhase {
    return this.#phase;
  }

  get build(): BuildName {
    return Atomics.load(this.#control, CTRL.activeBuild) === VCPU_BUILD.logging ? 'logging' : 'plain';
  }

  /** Resolves when the guest stands still: paused, or halted or trapped before the order reached it. */
  async pause(): Promise<void> {
    if (this.#isOver()) return;
    const order = this.#order(VCPU_COMMAND.pause);
    await this.#until(() => this.#pausedFor >= order || this.#isOver());
  }

  /** Lets the guest go on at once. Nothing happens to one that has halted or trapped. */
  resume(): void {
    if (this.#isOver()) return;
    if (this.#phase.kind !== 'paused') throw new VcpuPhaseError(this.#phase.kind, 'resume');
    Atomics.store(this.#control, CTRL.command, VCPU_COMMAND.none);
    Atomics.notify(this.#control, CTRL.command);
    this.#phase = { kind: 'running', atNs: this.#clock.nowNs() };
    // ahead of the migration that will want it; one that cannot be compiled is that migration's trouble
    this.#cancelLogging ??= this.#clock.after(
      COMPILE_LOGGING_AFTER_MS,
      () => void this.#kind.loggingReady().catch(() => {}),
    );
  }

  /** Resolves when the guest runs in that build, or will when it is resumed. */
  async useBuild(name: BuildName): Promise<void> {
    if (name === 'logging') await this.#kind.loggingReady();
    const build = VCPU_BUILD[name];
    Atomics.store(this.#control, CTRL.build, build);
    if (this.#phase.kind !== 'running') return;
    // an order that is waiting already makes the vCPU enter the guest again, which picks the build
    Atomics.compareExchange(this.#control, CTRL.command, VCPU_COMMAND.none, VCPU_COMMAND.switch);
    this.#ring();
    await this.#until(() => this.build === name || this.#phase.kind !== 'running');
  }

  /** Takes this share of the guest's time away; 0 gives it back. */
  setThrottle(percent: number): void {
    const bounded = Math.min(Math.max(Math.trunc(percent), 0), MAX_THROTTLE_PERCENT);
    Atomics.store(this.#control, CTRL.throttlePercent, bounded);
    this.#cancelThrottle?.();
    this.#cancelThrottle = null;
    // one tick per slice of running and sleeping
    if (bounded !== 0) this.#throttleEvery(THROTTLE_SLICE_MS / (1 - bounded / 100));
  }

  /** Each tick makes the guest's next poll sleep. */
  #throttleEvery(periodMs: number): void {
    this.#cancelThrottle = this.#clock.after(periodMs, () => {
      Atomics.store(this.#control, CTRL.attention, 1);
      this.#throttleEvery(periodMs);
    });
  }

  raiseInterrupt(line: number): void {
    raiseInterruptLine(this.#control, line);
  }

  /** Makes a blocked wait-for-interrupt return with what is pending. */
  kick(): void {
    wakeVcpu(this.#control);
  }

  /** Ends the worker's run; the guest is gone. Resolves when the worker no longer touches the memory. */
  async stop(): Promise<void> {
    this.#stopTimers();
    if (this.#workerEnded) return;
    this.#order(VCPU_COMMAND.stop);
    await this.#until(() => this.#workerEnded);
  }

  /** Gives up on a worker that has died or was terminated: nothing more will come from it. */
  abandon(): void {
    this.#stopTimers();
    this.#workerEnded = true;
    this.#setPhase({ kind: 'stopped' });
  }

  /** The stopped vCPU as data. */
  captureState(): State {
    const { kind } = this.#phase;
    if (kind !== 'paused' && kind !== 'halted') throw new VcpuPhaseError(kind, 'be captured');
    const clockNs = Math.max(0, this.#clock.nowNs() + this.#clockOffset[0]!);
    return this.#kind.capture({ clockNs, exit: this.#exit() });
  }

  /** Puts a decoded state into a prepared or paused vCPU, which goes on from there when it is resumed. */
  restoreState(state: State): void {
    const { kind } = this.#phase;
    if (kind !== 'paused' || !this.#ready) throw new VcpuPhaseError(kind, 'take a saved state');
    this.#kind.restore(state);
    this.#clockOffset[0] = state.clockNs - this.#clock.nowNs();
    if (state.exit.kind === 'halted') {
      this.#setPhase({ kind: 'halted', exitCode: state.exit.exitCode, atNs: this.#clock.nowNs() });
    }
  }

  #stopTimers(): void {
    this.setThrottle(0);
    this.#cancelLogging?.();
  }

  #exit(): VcpuExit {
    return this.#phase.kind === 'halted'
      ? { kind: 'halted', exitCode: this.#phase.exitCode }
      : { kind: 'none' };
  }

  #isOver(): boolean {
    const { kind } = this.#phase;
    return kind === 'halted' || kind === 'trapped' || kind === 'stopped';
  }

  /** Returns the order's number. */
  #order(command: number): number {
    this.#orders++;
    Atomics.store(this.#control, CTRL.command, (this.#orders << COMMAND_NUMBER_SHIFT) | command);
    this.#ring();
    return this.#orders;
  }

  /** Reaches the vCPU wherever it is: in a loop, in a blocked wait, in a throttled sleep or paused. */
  #ring(): void {
    Atomics.store(this.#control, CTRL.attention, 1);
    Atomics.notify(this.#control, CTRL.command);
    wakeVcpu(this.#control);
  }

  /** To be called with every event of the vCPU's, in order. */
  receive(event: VcpuEvent): void {
    switch (event.kind) {
      case 'console':
        this.#listener.onConsole?.(event.line);
        return;
      case 'terminal':
        this.#listener.onTerminal?.(event.bytes);
        return;
      case 'prepared':
        this.#ready = true;
        break;
      case 'build':
        break;
      case 'paused':
        this.#pausedFor = event.order;
        // an answer to an order that was taken back since says nothing about now
        if (event.order === this.#orders) this.#setPhase(event);
        break;
      case 'running':
        this.#setPhase(event);
        break;
      case 'halted':
      case 'trapped':
      case 'stopped':
        this.#workerEnded = true;
        this.#setPhase(event);
    }
    this.#settleWaiters();
  }

  #setPhase(phase: VcpuPhase): void {
    if (phase.kind !== this.#phase.kind && !TRANSITIONS[this.#phase.kind].includes(phase.kind)) return;
    this.#phase = phase;
    this.#listener.onPhase?.(phase);
    this.#settleWaiters();
  }

  #until(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ done, resolve });
    });
  }

  #settleWaiters(): void {
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (this.#waiters[i].done()) this.#waiters.splice(i, 1)[0].resolve();
    }
  }
}
