/**
 * A vCPU, as it runs in its worker. Builds of the guest are instantiated over the one memory, each when it is first
 * entered; at any time one of them is the guest.
 *
 *     hold -> enter -> run ... poll: unwind -> save globals -> obey: wait / switch build -> enter (rewind) -> ...
 *                       |                                           '-> stop
 *                       '-> returns: halted          throws: trapped
 *
 * The main thread talks through the control page (VcpuControl); this side answers with events. Everything the vCPU is
 * made of lies in the memory at each stop: control page (globals, sizes, interrupts) and Asyncify's stack.
 */

import { ASYNCIFY_STATE, GuestBuild } from '../guest/guest-build.js';
import { liftRun } from '../guest/lift-run.js';
import type { LoadedImage } from '../guest/loaded-image.js';
import { HOST_MODULE, MACHINE_MODULE, MEMORY_FIELD, POLL_FIELD } from '../guest/world.js';
import type { Clock } from '../hardware/clock.js';
import { ConsoleLines } from './console-lines.js';
import { compileAtFullSpeed } from './full-speed.js';
import type { GuestBus } from './guest-bus.js';
import { machineFunctions } from './guest-machine.js';
import {
  ASYNCIFY_BYTES,
  COMMAND_KIND_MASK,
  COMMAND_NUMBER_SHIFT,
  CTRL,
  layoutFor,
  type MemoryLayout,
  VCPU_BUILD,
  VCPU_COMMAND,
  VCPU_STATE,
} from './layout.js';
import { controlWords } from './memory.js';
import { trapReportOf } from './trap-report.js';
import type { VcpuEvent } from './vcpu-events.js';

/** First bytes of Asyncify's area: where its stack is, and where it ends. */
export const ASYNCIFY_HEADER_BYTES = 8;

/** What the vCPU's worker is handed: cloneable, except that the port moves. */
export interface VcpuBoot {
  readonly image: LoadedImage;
  readonly memory: WebAssembly.Memory;
  readonly port: VcpuPort;
}

/** The sending side of a MessagePort. */
export interface VcpuPort {
  postMessage(event: VcpuEvent): void;
}

/** What the worker gives its vCPU. */
export interface VcpuHost {
  readonly bus: GuestBus;
  readonly clock: Clock;
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

class Vcpu {
  readonly #layout: MemoryLayout;
  readonly #control: Int32Array;
  readonly #view: DataView;
  readonly #globalsOffset: number;
  readonly #image: LoadedImage;
  readonly #imports: Record<string, Record<string, unknown>>;
  readonly #builds: GuestBuild[] = [];
  readonly #console: ConsoleLines;
  readonly #clock: Clock;
  readonly #port: VcpuPort;
  #active: GuestBuild;
  #rewinding = false;

  constructor({ image, memory, port }: VcpuBoot, { bus, clock }: VcpuHost) {
    const layout = layoutFor(image.ramBytes);
    this.#layout = layout;
    this.#control = controlWords(memory, layout);
    this.#view = new DataView(memory.buffer);
    this.#globalsOffset = layout.controlOffset + CTRL.globals * 4;
    this.#clock = clock;
    this.#port = port;
    this.#console = new ConsoleLines((line) => port.postMessage({ kind: 'console', line }));
    this.#image = image;
    this.#imports = {
      [HOST_MODULE]: { [MEMORY_FIELD]: memory, [POLL_FIELD]: () => this.#poll() },
      [MACHINE_MODULE]: machineFunctions({ memory, layout, bus, clock, console: this.#console }),
    };
    this.#active = this.#build(VCPU_BUILD.plain);
    // the globals' first values, which a restore replaces before the vCPU is let go
    this.#active.saveGlobals(this.#view, this.#globalsOffset);
    this.#control[CTRL.globalCount] = image.globalTypes.length;
  }

  /** @param run the component's lifted run, which comes back to enterGuest. */
  runToEnd(run: () => number): void {
    this.#port.postMessage({ kind: 'prepared' });
    try {
      this.#obey();
      const exitCode = run() >>> 0;
      this.#console.flush();
      Atomics.store(this.#control, CTRL.exitCode, exitCode | 0);
      Atomics.store(this.#control, CTRL.state, VCPU_STATE.halted);
      this.#port.postMessage({ kind: 'halted', exitCode, atNs: this.#clock.nowNs() });
    } catch (error) {
      this.#console.flush();
      if (error instanceof VcpuStopped) this.#port.postMessage({ kind: 'stopped' });
      else {
        Atomics.store(this.#control, CTRL.state, VCPU_STATE.trapped);
        this.#port.postMessage({ kind: 'trapped', report: trapReportOf(error), atNs: this.#clock.nowNs() });
      }
    }
  }

  /** The compiler has done its part in another thread (CompiledBuilds): this takes about a millisecond, once a build. */
  #build(wanted: number): GuestBuild {
    const known = this.#builds[wanted];
    if (known !== undefined) return known;
    const wasm = wanted === VCPU_BUILD.logging ? this.#image.logWasm : this.#image.plainWasm;
    const module = new WebAssembly.Module(wasm as BufferSource);
    const build = new GuestBuild(module, this.#imports, this.#image.globalTypes);
    this.#builds[wanted] = build;
    return build;
  }

  /** Stands in for the core's `run`: comes back only when the guest's run has returned. */
  enterGuest(): number {
    const control = this.#control;
    for (;;) {
      const wanted = Atomics.load(control, CTRL.build) & 1;
      const build = this.#build(wanted);
      this.#active = build;
      build.loadGlobals(this.#view, this.#globalsOffset);
      if (Atomics.exchange(control, CTRL.framesValid, 0) !== 0) this.#startRewind(build);
      if (Atomics.exchange(control, CTRL.activeBuild, wanted) !== wanted) {
        this.#port.postMessage({ kind: 'build', build: wanted });
      }
      const result = build.run();
      if (this.#rewinding)
        throw new Error('the saved frames are not of this guest: its stack could not be rebuilt');
      if (build.asyncifyState !== ASYNCIFY_STATE.unwinding) return result;
      this.#finishUnwind(build);
      this.#obey();
    }
  }

  /** Called by the guest where its attention word is set, and once at the end of a rewind. */
  #poll(): void {
    if (this.#rewinding) {
      this.#rewinding = false;
      this.#active.stopRewind();
      return;
    }
    const control = this.#control;
    // cleared first: a command that comes after this line sets it again
    Atomics.store(control, CTRL.attention, 0);
    const throttlePercent = control[CTRL.throttlePercent];
    if (throttlePercent > 0) this.#sleepThrottled(throttlePercent);
    if (Atomics.load(control, CTRL.command) === VCPU_COMMAND.none) return;
    const stack = this.#layout.asyncifyOffset;
    this.#view.setUint32(stack, stack + ASYNCIFY_HEADER_BYTES, true);
    this.#view.setUint32(stack + 4, stack + ASYNCIFY_BYTES, true);
    this.#active.startUnwind(stack);
  }

  /** Gives away its share of a time slice without leaving the guest. A command ends the sleep. */
  #sleepThrottled(percent: number): void {
    const bounded = Math.min(percent, MAX_THROTTLE_PERCENT);
    const sleepMs = (THROTTLE_SLICE_MS * bounded) / (100 - bounded);
    Atomics.wait(this.#control, CTRL.command, VCPU_COMMAND.none, sleepMs);
  }

  #startRewind(build: GuestBuild): void {
    const stack = this.#layout.asyncifyOffset;
    const frameBytes = this.#control[CTRL.frameBytes];
    // Asyncify pops frames downwards from the end of what is there
    this.#view.setUint32(stack, stack + ASYNCIFY_HEADER_BYTES + frameBytes, true);
    this.#view.setUint32(stack + 4, stack + ASYNCIFY_BYTES, true);
    this.#rewinding = true;
    build.startRewind(stack);
  }

  #finishUnwind(build: GuestBuild): void {
    const stack = this.#layout.asyncifyOffset;
    const frameBytes = this.#view.getUint32(stack, true) - stack - ASYNCIFY_HEADER_BYTES;
    if (frameBytes > ASYNCIFY_BYTES - ASYNCIFY_HEADER_BYTES) {
      throw new Error(
        `the guest's call stack of ${frameBytes} bytes is too deep to be saved ` +
          `(${ASYNCIFY_BYTES - ASYNCIFY_HEADER_BYTES} bytes)`,
      );
    }
    build.stopUnwind();
    build.saveGlobals(this.#view, this.#globalsOffset);
    this.#control[CTRL.frameBytes] = frameBytes;
    Atomics.store(this.#control, CTRL.framesValid, 1);
  }

  /** Outside the guest: does what the main thread wants, returns when the guest is to run. */
  #obey(): void {
    const control = this.#control;
    for (;;) {
      const command = Atomics.load(control, CTRL.command);
      switch (command & COMMAND_KIND_MASK) {
        case VCPU_COMMAND.pause:
          this.#waitPaused(command);
          break;
        case VCPU_COMMAND.stop:
          throw new VcpuStopped();
        case VCPU_COMMAND.none:
          if (Atomics.exchange(control, CTRL.state, VCPU_STATE.running) !== VCPU_STATE.running) {
            this.#port.postMessage({ kind: 'running', atNs: this.#clock.nowNs() });
          }
          return;
        default:
          // entering the guest again picks the build; a pause that came meanwhile stays
          Atomics.compareExchange(control, CTRL.command, command, VCPU_COMMAND.none);
      }
    }
  }

  /** Stands still while exactly this order stands; a later pause is answered anew. */
  #waitPaused(command: number): void {
    const control = this.#control;
    Atomics.store(control, CTRL.state, VCPU_STATE.paused);
    this.#port.postMessage({
      kind: 'paused',
      order: command >>> COMMAND_NUMBER_SHIFT,
      atNs: this.#clock.nowNs(),
    });
    while (Atomics.load(control, CTRL.command) === command) Atomics.wait(control, CTRL.command, command);
  }
}

/** A throttled guest runs for this long between two sleeps. */
export const THROTTLE_SLICE_MS = 10;
export const MAX_THROTTLE_PERCENT = 99;
