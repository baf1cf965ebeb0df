/**
 * The guest's builds over the one memory, and the way in and out of them: at any time one of them is the guest.
 *
 *   enter: globals loaded, frames rewound -> run ... poll: leave? -> unwind -> frames and globals saved -> null
 *                                               '-> returns: its result          throws: a trap
 *
 * Everything the vCPU is made of lies in the memory whenever enter() has returned: control page (globals, sizes,
 * interrupts) and Asyncify's stack.
 */
import { ASYNCIFY_STATE, GuestBuild } from '../guest/guest-build.js';
import type { LoadedImage } from '../guest/loaded-image.js';
import { HOST_MODULE, MACHINE_MODULE, MEMORY_FIELD, POLL_FIELD } from '../guest/world.js';
import type { Clock, WordWait } from '../hardware/clock.js';
import type { GuestBus } from './guest-bus.js';
import { machineFunctions } from './guest-machine.js';
import { ASYNCIFY_BYTES, ASYNCIFY_HEADER_BYTES, CTRL, layoutFor, VCPU_BUILD } from './layout.js';
import { controlWords } from './memory.js';
import type { VcpuReporter } from './vcpu-reporter.js';

export interface GuestRunParts {
  readonly image: LoadedImage;
  readonly memory: WebAssembly.Memory;
  readonly bus: GuestBus;
  readonly clock: Clock;
  readonly reporter: VcpuReporter;
  /** Called by the guest where its attention word is set: true makes it leave. */
  readonly leave: () => boolean;
  /** How the guest waits for an interrupt. */
  readonly wait: WordWait;
}

export class GuestRun {
  readonly #image: LoadedImage;
  readonly #control: Int32Array;
  readonly #view: DataView;
  readonly #globalsOffset: number;
  /** Where Asyncify's stack begins. */
  readonly #stack: number;
  readonly #imports: Record<string, Record<string, unknown>>;
  readonly #reporter: VcpuReporter;
  readonly #leave: () => boolean;
  readonly #builds: GuestBuild[] = [];
  #active: GuestBuild;
  #rewinding = false;

  constructor({ image, memory, bus, clock, reporter, leave, wait }: GuestRunParts) {
    const layout = layoutFor(image.ramBytes);
    this.#image = image;
    this.#control = controlWords(memory, layout);
    this.#view = new DataView(memory.buffer);
    this.#globalsOffset = layout.controlOffset + CTRL.globals * 4;
    this.#stack = layout.asyncifyOffset;
    this.#reporter = reporter;
    this.#leave = leave;
    const { console } = reporter;
    this.#imports = {
      [HOST_MODULE]: { [MEMORY_FIELD]: memory, [POLL_FIELD]: () => this.#poll() },
      [MACHINE_MODULE]: machineFunctions({ memory, layout, bus, clock, console, wait }),
    };
    this.#active = this.#build(VCPU_BUILD.plain);
    // the globals' first values, which a restore replaces before the vCPU is let go
    this.#active.saveGlobals(this.#view, this.#globalsOffset);
    this.#control[CTRL.globalCount] = image.globalTypes.length;
  }

  /** Runs the guest until it returns (its result) or leaves (null). */
  enter(): number | null {
    const control = this.#control;
    const wanted = Atomics.load(control, CTRL.build) & 1;
    const build = this.#build(wanted);
    this.#active = build;
    build.loadGlobals(this.#view, this.#globalsOffset);
    if (Atomics.exchange(control, CTRL.framesValid, 0) !== 0) this.#startRewind(build);
    this.#reporter.entered(wanted);
    const result = build.run();
    if (this.#rewinding)
      throw new Error('the saved frames are not of this guest: its stack could not be rebuilt');
    if (build.asyncifyState !== ASYNCIFY_STATE.unwinding) return result;
    this.#finishUnwind(build);
    return null;
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

  /** Called by the guest where its attention word is set, and once at the end of a rewind. */
  #poll(): void {
    if (this.#rewinding) {
      this.#rewinding = false;
      this.#active.stopRewind();
      return;
    }
    if (!this.#leave()) return;
    const stack = this.#stack;
    this.#view.setUint32(stack, stack + ASYNCIFY_HEADER_BYTES, true);
    this.#view.setUint32(stack + 4, stack + ASYNCIFY_BYTES, true);
    this.#active.startUnwind(stack);
  }

  #startRewind(build: GuestBuild): void {
    const stack = this.#stack;
    const frameBytes = this.#control[CTRL.frameBytes];
    // Asyncify pops frames downwards from the end of what is there
    this.#view.setUint32(stack, stack + ASYNCIFY_HEADER_BYTES + frameBytes, true);
    this.#view.setUint32(stack + 4, stack + ASYNCIFY_BYTES, true);
    this.#rewinding = true;
    build.startRewind(stack);
  }

  #finishUnwind(build: GuestBuild): void {
    const frameBytes = this.#view.getUint32(this.#stack, true) - this.#stack - ASYNCIFY_HEADER_BYTES;
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
}
