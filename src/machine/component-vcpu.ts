/**
 * A vCPU that runs a WebAssembly component: its state is the mutable globals and Asyncify's saved frames, both of which
 * lie in the VMM area while it stands still.
 */
import type { LoadedImage } from '../guest/loaded-image.js';
import { type CompileAhead, CompiledBuilds } from './compiled-builds.js';
import { ASYNCIFY_HEADER_BYTES, CTRL, layoutFor, type MemoryLayout } from './layout.js';
import { controlWords, readCommandLine, writeCommandLine } from './memory.js';
import type { CommonVcpuState, VcpuKind } from './vcpu-kind.js';
import { VCPU_STATE_VERSION, type VcpuState } from './vcpu-state.js';

export class ComponentVcpu implements VcpuKind<VcpuState> {
  readonly layout: MemoryLayout;
  readonly #image: LoadedImage;
  readonly #memory: WebAssembly.Memory;
  readonly #control: Int32Array;
  readonly #builds: CompiledBuilds;

  constructor(image: LoadedImage, memory: WebAssembly.Memory, compile: CompileAhead) {
    this.#image = image;
    this.#memory = memory;
    this.layout = layoutFor(image.ramBytes);
    this.#control = controlWords(memory, this.layout);
    this.#builds = new CompiledBuilds(image, compile);
  }

  loggingReady(): Promise<void> {
    return this.#builds.logging();
  }

  capture({ clockNs, exit }: CommonVcpuState): VcpuState {
    const control = this.#control;
    const framesAt = this.layout.asyncifyOffset + ASYNCIFY_HEADER_BYTES;
    const frameBytes =
      exit.kind === 'none' && control[CTRL.framesValid] !== 0 ? control[CTRL.frameBytes]! : 0;
    const globalsAt = this.layout.controlOffset + CTRL.globals * 4;
    const copy = (at: number, bytes: number) => new Uint8Array(this.#memory.buffer, at, bytes).slice();
    return {
      version: VCPU_STATE_VERSION,
      guestPages: control[CTRL.guestPages]!,
      globals: copy(globalsAt, this.#image.globalTypes.length * 8),
      frames: copy(framesAt, frameBytes),
      irqPending: Atomics.load(control, CTRL.irqPending),
      clockNs,
      commandLine: readCommandLine(this.#memory, this.layout),
      exit,
    };
  }

  restore(state: VcpuState): void {
    const control = this.#control;
    const bytes = new Uint8Array(this.#memory.buffer);
    bytes.set(state.globals, this.layout.controlOffset + CTRL.globals * 4);
    bytes.set(state.frames, this.layout.asyncifyOffset + ASYNCIFY_HEADER_BYTES);
    control[CTRL.guestPages] = state.guestPages;
    control[CTRL.frameBytes] = state.frames.length;
    control[CTRL.framesValid] = state.frames.length > 0 ? 1 : 0;
    writeCommandLine(this.#memory, this.layout, state.commandLine);
    // ORed in: the restored devices may have raised lines already
    Atomics.or(control, CTRL.irqPending, state.irqPending | 0);
  }
}
