/**
 * The scripted guest's vCPU: obeys the control page, posts events and marks the dirty log as a vCPU that runs an image
 * does, and is one of a host's virtual cores.
 *
 *   created --prepared--> paused <---> running (a step of the guest after the other, waits) --stop--> over
 *                                         '--> trapped: its RAM is not its own
 */
import type { Clock } from '../../../hardware/clock.js';
import { GuestBusView } from '../../../hypervisor/guest-bus-view.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../../hypervisor/host-threads.js';
import { CTRL, layoutFor } from '../../../machine/layout.js';
import { controlWords, readCommandLine } from '../../../machine/memory.js';
import { throttledSleepMs } from '../../../machine/vcpu.js';
import { standingOrder, VcpuReporter } from '../../../machine/vcpu-reporter.js';
import { type StepEnd, stepEnd, type VirtualCore } from '../../clockwork/virtual-core.js';
import { exitViewOpener } from '../exit-view.js';
import { behindPostedWrites } from '../message-order.js';
import { WouldWait } from '../simulated-bus.js';
import type { SimulatedVcpu, SimulatedVcpuOptions } from '../vcpu-options.js';
import { WordWatch } from '../word-watch.js';
import { ScriptedGuest } from './guest.js';
import { Mmio, WOULD_WAIT } from './mmio.js';
import { GuestRam } from './ram.js';
import { GuestState } from './state.js';

/** Until an access is tried again that had to wait. */
const TRY_AGAIN_NS = 1_500;
const ASLEEP: StepEnd = stepEnd(0, null);
const DEFAULT_SEED = 1;

export function createScriptedVcpu(
  boot: VcpuThreadBoot,
  events: VcpuThreadEvents,
  options: SimulatedVcpuOptions,
): SimulatedVcpu {
  return new ScriptedVcpu(boot, events, options);
}

class ScriptedVcpu implements SimulatedVcpu {
  readonly core: VirtualCore;
  readonly #boot: VcpuThreadBoot;
  readonly #events: VcpuThreadEvents;
  readonly #options: SimulatedVcpuOptions;
  readonly #control: Int32Array;
  /** The one register: steps done, as it is saved with the vCPU. */
  readonly #register: BigInt64Array;
  readonly #clockOffset: Float64Array;
  readonly #clock: Clock;
  readonly #reporter: VcpuReporter;
  readonly #ram: GuestRam;
  readonly #state: GuestState;
  readonly #mmio: Mmio;
  readonly #orders: WordWatch;
  readonly #interrupts: WordWatch;
  #guest: ScriptedGuest | null = null;
  #pausedFor: number | null = null;
  #isOver = false;

  constructor(boot: VcpuThreadBoot, events: VcpuThreadEvents, options: SimulatedVcpuOptions) {
    const { memory, image, name } = boot;
    const { scheduler, host } = options;
    const layout = layoutFor(image.ramBytes);
    this.#boot = boot;
    this.#events = events;
    this.#options = options;
    this.#control = controlWords(memory, layout);
    this.#register = new BigInt64Array(memory.buffer, layout.controlOffset + CTRL.globals * 4, 1);
    this.#clockOffset = new Float64Array(memory.buffer, layout.controlOffset + CTRL.clockOffset * 4, 1);
    this.#clock = { nowNs: () => scheduler.nowNs() };
    this.#ram = new GuestRam(memory, layout);
    this.#state = new GuestState(this.#ram);
    this.core = scheduler.core({
      name: `vcpu ${name}`,
      host,
      kind: 'vcpu',
      speed: options.speed ?? 1,
      ...(options.preempt === undefined ? {} : { preempt: options.preempt }),
      step: () => this.#step(),
    });
    this.#mmio = this.#openMmio();
    const wake = (): void => this.core.wake();
    this.#orders = new WordWatch(scheduler, this.#control, CTRL.command, wake);
    this.#interrupts = new WordWatch(scheduler, this.#control, CTRL.irqSequence, wake);
    const post = { postMessage: (event: Parameters<VcpuThreadEvents['onEvent']>[0]) => this.#post(event) };
    this.#reporter = new VcpuReporter(this.#control, post, this.#clock);
    this.#control[CTRL.globalCount] = 'globalTypes' in image ? image.globalTypes.length : 0;
    this.#reporter.prepared();
    this.core.wake();
  }

  terminate(): Promise<void> {
    this.#isOver = true;
    this.core.kill();
    this.#options.host.post('vcpu exit', () => this.#events.onExit());
    return Promise.resolve();
  }

  #openMmio(): Mmio {
    const { slots } = this.#boot;
    const { scheduler, beforeRead, afterWrite } = this.#options;
    const slot = slots[0];
    if (slot === undefined) throw new RangeError('the scripted guest drives a VF: its VM has none');
    // what waits for a mapping or a turn is tried again later; the engine is waited for by reading again
    const wait = (words: Int32Array): void => {
      if (words.buffer === slot.barMap) throw WOULD_WAIT;
    };
    const openExitView = exitViewOpener(this.#clock, wait, this.#options);
    const view = new GuestBusView(slots, this.#control, this.#clock, wait, [], openExitView);
    const bus = behindPostedWrites(view, this.#control, () => beforeRead?.());
    return new Mmio(this.#state, bus, slot, {
      point: () => scheduler.point(this.core),
      beforeRead: () => beforeRead?.(),
      afterWrite: () => afterWrite?.(),
    });
  }

  #post(event: Parameters<VcpuThreadEvents['onEvent']>[0]): void {
    this.#options.host.post(`vcpu ${event.kind}`, () => this.#events.onEvent(event));
  }

  #step(): StepEnd {
    if (this.#isOver) return ASLEEP;
    this.#ram.flushMarks();
    const order = standingOrder(this.#control);
    if (order.kind === 'stop') return this.#end(() => this.#reporter.stopped());
    if (order.kind === 'pause') return this.#pause(order.command);
    this.#pausedFor = null;
    this.#reporter.running();
    this.#reporter.entered(Atomics.load(this.#control, CTRL.build) & 1);
    const isRung = Atomics.exchange(this.#control, CTRL.attention, 0) !== 0;
    const throttlePercent = this.#control[CTRL.throttlePercent]!;
    if (isRung && throttlePercent > 0) {
      this.#interrupts.watch();
      return stepEnd(0, throttledSleepMs(throttlePercent) * 1e6);
    }
    return this.#runGuest();
  }

  #runGuest(): StepEnd {
    try {
      this.#guest ??= this.#enter();
      this.#interrupts.watch();
      const { costNs, waitUntilNs } = this.#guest.step();
      if (waitUntilNs === null) return stepEnd(costNs, 0);
      return stepEnd(costNs, Math.max(0, waitUntilNs - this.#guestNs() - costNs));
    } catch (error) {
      if (error instanceof WouldWait) return stepEnd(this.#mmio.costNs, TRY_AGAIN_NS);
      return this.#end(() => this.#reporter.trapped(error));
    }
  }

  /** After a boot, a pause or an arrival: everything it knows is read from RAM anew. */
  #enter(): ScriptedGuest {
    const stepsBefore = Number(this.#register[0]);
    ScriptedGuest.check(this.#state, stepsBefore);
    return new ScriptedGuest(
      {
        state: this.#state,
        mmio: this.#mmio,
        nowNs: () => this.#guestNs(),
        takeInterrupts: () => Atomics.exchange(this.#control, CTRL.irqPending, 0),
        seed: () => this.#seed(),
      },
      stepsBefore,
    );
  }

  #pause(command: number): StepEnd {
    if (this.#guest !== null) this.#register[0] = BigInt(this.#guest.steps);
    this.#guest = null;
    if (this.#pausedFor !== command) this.#reporter.paused(command);
    this.#pausedFor = command;
    this.#orders.watch();
    return ASLEEP;
  }

  #end(report: () => void): StepEnd {
    this.#isOver = true;
    report();
    return ASLEEP;
  }

  #guestNs(): number {
    return this.#options.scheduler.nowNs() + this.#clockOffset[0]!;
  }

  /** `seed=<number>` on the command line. */
  #seed(): number {
    const { memory, image } = this.#boot;
    const line = new TextDecoder().decode(readCommandLine(memory, layoutFor(image.ramBytes)));
    return Number(/\bseed=(\d+)/.exec(line)?.[1] ?? DEFAULT_SEED);
  }
}
