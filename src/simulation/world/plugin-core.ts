/**
 * The plugin's extra core as a virtual core: the production loop (CoreLoop) round the plugin's own code.
 *
 *   host:  turn() --request, wake--> step ... turn ends --message--> resolved          (or the limit is over)
 *   core:  register read = others may run first, then everything the card posted is in memory, then the read
 *
 * It sleeps as the worker does: for idleNs() at most, or until the wake word changes (wake() is called by whoever may have
 * changed it).
 */
import { openPassthrough, type PassthroughHandle } from '../../hypervisor/passthrough-core.js';
import type { Core, CoreModule, CoreView } from '../../plugin/core-api.js';
import { CORE_CONTROL, CORE_CONTROL_WORDS, CoreLoop } from '../../plugin/core-loop.js';
import type { CoreReport } from '../../plugin/core-messages.js';
import { type CoreStart, type RunningCore, sharedWordsOf } from '../../plugin/core-thread.js';
import { SharedDirtyMarks } from '../../plugin/dirty-marks.js';
import { PluginFailure, PluginTimeout } from '../../plugin/errors.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { type StepEnd, stepEnd, type VirtualCore } from '../clockwork/virtual-core.js';
import { LoggedMarks } from '../trace/logged-marks.js';
import type { CardWindows } from './card-windows.js';
import { COSTS } from './costs.js';
import type { CoreSpeeds } from './plan.js';
import type { PluginFaults } from './plugin-faults.js';

/** Below this the worker does not sleep but looks again. */
const SHORTEST_SLEEP_NS = 20_000;

export interface PluginCoreEnv {
  readonly scheduler: Scheduler;
  readonly host: HostTime;
  readonly speeds: CoreSpeeds;
  readonly windows: CardWindows;
  readonly faults: PluginFaults;
  /** A core was started; it ends by itself. */
  readonly onCore: (core: PluginCore) => void;
}

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly stopTimer: () => void;
}

/** What PluginMigrator's startCore is in a simulation. */
export async function startPluginCore(env: PluginCoreEnv, start: CoreStart): Promise<RunningCore> {
  const module = (await env.scheduler.external(import(String(start.request.module)))) as CoreModule;
  const core = new PluginCore(env, start, module);
  env.onCore(core);
  await core.ready;
  return core;
}

export class PluginCore implements RunningCore {
  readonly shared: Int32Array;
  readonly core: VirtualCore;
  /** Resolves when the plugin's core was made in its own thread. */
  readonly ready: Promise<void>;
  readonly #env: PluginCoreEnv;
  readonly #start: CoreStart;
  readonly #module: CoreModule;
  readonly #control = new Int32Array(new SharedArrayBuffer(CORE_CONTROL_WORDS * 4));
  readonly #bornNs: number;
  #made: { readonly core: Core; readonly loop: CoreLoop } | null = null;
  #onReady: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #reads = 0;
  #waiters: Waiter[] = [];
  #failure: Error | null = null;
  #report: CoreReport | null = null;
  #hasEnded = false;
  #onEnd: (() => void) | null = null;

  constructor(env: PluginCoreEnv, start: CoreStart, module: CoreModule) {
    const { scheduler, host, speeds } = env;
    this.#env = env;
    this.#start = start;
    this.#module = module;
    this.shared = sharedWordsOf(start.request);
    this.#bornNs = scheduler.nowNs();
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = { resolve, reject };
    });
    this.core = scheduler.core({
      name: 'tracker',
      host,
      kind: 'tracker',
      speed: speeds.tracker,
      preempt: { chance: speeds.preemptChance, minNs: 1_000, maxNs: speeds.preemptNs },
      step: () => this.#step(),
    });
    this.core.wake();
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  turn(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const sequence = (Atomics.add(this.#control, CORE_CONTROL.turnRequest, 1) + 1) | 0;
    const { turnMs } = this.#start.limits;
    const done = new Promise<void>((resolve, reject) => {
      const stopTimer = this.#env.host.after(turnMs, () => {
        const what = `plugin ${this.#start.plugin}: a turn of its core took longer than ${turnMs} ms`;
        this.#fail(new PluginTimeout(what));
      });
      this.#waiters.push({ sequence, resolve, reject, stopTimer });
    });
    this.core.wake();
    return done;
  }

  async stop(): Promise<CoreReport | null> {
    Atomics.store(this.#control, CORE_CONTROL.stop, 1);
    this.core.wake();
    if (this.#hasEnded) return this.#report;
    await new Promise<void>((resolve) => {
      const stopTimer = this.#env.host.after(this.#start.limits.stopMs, () => {
        this.core.kill();
        this.#end(null);
        resolve();
      });
      this.#onEnd = () => {
        stopTimer();
        resolve();
      };
    });
    return this.#report;
  }

  #step(): StepEnd {
    this.#reads = 0;
    try {
      return this.#made === null ? this.#make() : this.#turnOrEnd();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const report = this.#makeReport();
      this.core.kill();
      this.#env.host.post('core died', () => {
        this.#end(report);
        this.#fail(new PluginFailure(`plugin ${this.#start.plugin}: its core threw: ${message}`));
      });
      return stepEnd(COSTS.trackerTurnNs, null);
    }
  }

  #make(): StepEnd {
    const { faults, host } = this.#env;
    faults.pass('createCore');
    const { view, pages, clock } = this.#openView();
    const makeCore = (): Core => this.#module.createCore(view, this.#start.request.data);
    const loop = new CoreLoop(makeCore, pages, clock, this.#control, (sequence) => {
      host.post('turn', () => this.#acknowledge(sequence));
    });
    this.#made = { core: loop.core, loop };
    host.post('core ready', () => this.#onReady?.resolve());
    return stepEnd(this.#costOf(0), 0);
  }

  #turnOrEnd(): StepEnd {
    const { core, loop } = this.#made!;
    if (loop.stopRequested && !loop.turnOpen) {
      core.finish?.();
      const report = this.#makeReport();
      this.core.kill();
      this.#env.host.post('core ended', () => this.#end(report));
      return stepEnd(this.#costOf(0), null);
    }
    this.#env.faults.pass('core-step');
    const work = loop.step();
    const idleNs = loop.idleNs();
    return stepEnd(this.#costOf(work), idleNs >= SHORTEST_SLEEP_NS ? idleNs : 0);
  }

  #costOf(work: number): number {
    return COSTS.trackerTurnNs + work * COSTS.trackerWorkNs + this.#reads * COSTS.registerReadNs;
  }

  #openView() {
    const { host, windows, scheduler } = this.#env;
    const { access, dirty, dirtyPages, onNote } = this.#start;
    const wait = windows.waitOf(() => this.core);
    const device = openPassthrough(access.handle as PassthroughHandle, host, wait);
    const beforeRead = (): void => {
      this.#reads++;
      windows.beforeRead(this.core);
    };
    const view: CoreView = {
      vf: device.vf,
      ram: device.ram,
      bar0: windows.wrap(device.bar0, beforeRead),
      bar3: windows.wrap(device.bar3, beforeRead),
      pf: windows.wrap(device.pf, beforeRead),
      pages: device.pages,
      clock: host,
      dirty: new LoggedMarks(
        new SharedDirtyMarks(dirty, dirtyPages),
        dirty,
        { log: scheduler.log, nowNs: () => scheduler.nowNs() },
        this.core.actor,
      ),
      shared: this.shared,
      note: (text) => host.post('note', () => onNote(String(text).slice(0, 500))),
    };
    return { view, pages: device.pages, clock: host };
  }

  #makeReport(): CoreReport {
    const { busyNs } = this.core;
    return {
      cpuNs: busyNs,
      loopCpuNs: busyNs,
      aliveNs: this.#env.scheduler.nowNs() - this.#bornNs,
      counters: { ...this.#made?.loop.counters(), ...this.#made?.core.counters?.() },
    };
  }

  #acknowledge(sequence: number): void {
    const due = this.#waiters.filter((waiter) => waiter.sequence - sequence <= 0);
    this.#waiters = this.#waiters.filter((waiter) => waiter.sequence - sequence > 0);
    for (const waiter of due) {
      waiter.stopTimer();
      waiter.resolve();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      waiter.stopTimer();
      waiter.reject(this.#failure);
    }
    this.#onReady?.reject(this.#failure);
  }

  #end(report: CoreReport | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#report = report;
    this.#onEnd?.();
  }
}
