/**
 * A vCPU with a thread of its own, as it runs in its worker.
 *
 *     hold -> enter -> run ... poll: unwind -> obey: wait / switch build -> enter (rewind) -> ...
 *                       |                       '-> stop
 *                       '-> returns: halted          throws: trapped
 *
 * The main thread talks through the control page (VcpuControl); this side answers with events.
 */
import { liftRun } from '../guest/lift-run.js';
import type { LoadedImage } from '../guest/loaded-image.js';
import { blockThread, type Clock, type WordWait } from '../hardware/clock.js';
import { compileAtFullSpeed } from './full-speed.js';
import type { GuestBus } from './guest-bus.js';
import { GuestRun } from './guest-run.js';
import { CTRL, layoutFor, MAX_THROTTLE_PERCENT, THROTTLE_SLICE_MS, VCPU_COMMAND } from './layout.js';
import { controlWords } from './memory.js';
import { standingOrder, type VcpuPort, VcpuReporter } from './vcpu-reporter.js';

/** What a vCPU is made of: cloneable, except that the port moves. */
export interface VcpuBoot {
  readonly image: LoadedImage;
  readonly memory: WebAssembly.Memory;
  readonly port: VcpuPort;
}

/** What its thread gives a vCPU. */
export interface VcpuHost {
  readonly bus: GuestBus;
  readonly clock: Clock;
  /** How it sleeps; blocks the thread by default. */
  readonly wait?: WordWait;
}

/** Runs a vCPU until it halts, traps or is stopped. Blocks its thread while the guest runs; never throws for a guest. */
export async function runVcpu(boot: VcpuBoot, host: VcpuHost): Promise<void> {
  compileAtFullSpeed();
  const vcpu = new Vcpu(boot, host);
  const run = await liftRun(boot.image, boot.memory, () => vcpu.enterGuest());
  vcpu.runToEnd(run);
}

/** Thrown through the guest's JavaScript half when the worker is to end. */
class VcpuStopped extends Error {}

/** The share of a throttled guest's time slice that it sleeps, after THROTTLE_SLICE_MS of running. */
export function throttledSleepMs(percent: number): number {
  const bounded = Math.min(percent, MAX_THROTTLE_PERCENT);
  return (THROTTLE_SLICE_MS * bounded) / (100 - bounded);
}

class Vcpu {
  readonly #control: Int32Array;
  readonly #guest: GuestRun;
  readonly #reporter: VcpuReporter;
  readonly #wait: WordWait;

  constructor({ image, memory, port }: VcpuBoot, { bus, clock, wait = blockThread }: VcpuHost) {
    this.#control = controlWords(memory, layoutFor(image.ramBytes));
    this.#wait = wait;
    const reporter = new VcpuReporter(this.#control, port, clock);
    this.#reporter = reporter;
    this.#guest = new GuestRun({ image, memory, bus, clock, reporter, wait, leave: () => this.#mustLeave() });
  }

  /** @param run the component's lifted run, which comes back to enterGuest. */
  runToEnd(run: () => number): void {
    const reporter = this.#reporter;
    reporter.prepared();
    try {
      this.#obey();
      reporter.halted(run() >>> 0);
    } catch (error) {
      if (error instanceof VcpuStopped) reporter.stopped();
      else reporter.trapped(error);
    }
  }

  /** Stands in for the core's `run`: comes back only when the guest's run has returned. */
  enterGuest(): number {
    for (;;) {
      const result = this.#guest.enter();
      if (result !== null) return result;
      this.#obey();
    }
  }

  /** At a poll. */
  #mustLeave(): boolean {
    const control = this.#control;
    // cleared first: a command that comes after this line sets it again
    Atomics.store(control, CTRL.attention, 0);
    const throttlePercent = control[CTRL.throttlePercent];
    // gives away its share of a time slice without leaving the guest; a command ends the sleep
    if (throttlePercent > 0) {
      this.#wait(control, CTRL.command, VCPU_COMMAND.none, throttledSleepMs(throttlePercent));
    }
    return Atomics.load(control, CTRL.command) !== VCPU_COMMAND.none;
  }

  /** Outside the guest: does what the main thread wants, returns when the guest is to run. */
  #obey(): void {
    const control = this.#control;
    for (;;) {
      const order = standingOrder(control);
      if (order.kind === 'stop') throw new VcpuStopped();
      if (order.kind === 'run') {
        this.#reporter.running();
        return;
      }
      // stands still while exactly this order stands; a later pause is answered anew
      const { command } = order;
      this.#reporter.paused(command);
      while (Atomics.load(control, CTRL.command) === command) {
        this.#wait(control, CTRL.command, command, Number.POSITIVE_INFINITY);
      }
    }
  }
}
