/**
 * A virtual machine: one memory, one image, one vCPU in its own worker, its devices. Composition and lifecycle only;
 * what moves it elsewhere is the migration engine's affair.
 *
 *   create -> created --start--> running <--pause / resume--> paused        any --destroy--> destroyed
 *   create (incoming) -> incoming --restoreVmState--> paused
 *                                      running --> halted | trapped
 */
import { type LoadImageOptions, loadImage } from '../guest/load-image.js';
import type { Clock } from '../hardware/clock.js';
import { ConsoleLines } from '../machine/console-lines.js';
import type { DirtyMap } from '../machine/dirty-map.js';
import { CTRL, type MemoryLayout } from '../machine/layout.js';
import { controlWords } from '../machine/memory.js';
import { VcpuControl, type VcpuPhase } from '../machine/vcpu-control.js';
import type { CommonVcpuState } from '../machine/vcpu-kind.js';
import { TerminalInput } from '../rv64/machine/terminal-input.js';
import { type GuestImage, type GuestKind, guestKind } from './guest-kind.js';
import { type HostThreads, realThreads, type VcpuThread } from './host-threads.js';
import type { HotPlug, SavedHotplug } from './hotplug.js';
import type { ParavirtualNet } from './paravirtual-net.js';
import type { PassedThroughVf } from './passthrough.js';
import { threadCpuNs } from './thread-cpu.js';
import { type VmDeviceOptions, VmDevices } from './vm-devices.js';
import { readExits } from './vm-exits.js';
import type { VmInfo } from './vm-info.js';
import { mayFollow, VmError, type VmState, VmStateError, type VmStateKind } from './vm-state.js';

export { type InterruptOptions, MAX_VM_NETS, MAX_VM_VFS, type VmNet, type VmVf } from './vm-devices.js';
export { VmError } from './vm-state.js';

export interface VmOptions extends VmDeviceOptions {
  readonly name: string;
  /** A loaded image, or a file to load one from. */
  readonly image: GuestImage | ({ readonly path: string } & LoadImageOptions);
  readonly commandLine?: string;
  /** Memory made for the image's RAM size, that RAM being zero; of an incoming VM, pages may arrive in it already. */
  readonly memory?: WebAssembly.Memory;
  /** The vCPU's thread, timers and the clock; a worker and the process's own unless a simulator has others. */
  readonly threads?: HostThreads;
  readonly onEvent?: VmListener;
}

export type VmEvent =
  | { readonly kind: 'state'; readonly state: VmState }
  | { readonly kind: 'console'; readonly line: string }
  /** What a guest with a terminal wrote there. */
  | { readonly kind: 'terminal'; readonly bytes: Uint8Array };
export type VmListener = (event: VmEvent) => void;

/** Version of what saveVmState returns. */
export const VM_STATE_VERSION = 2;

/** vCPU, pending interrupts, clock, and which slots are empty: a VM without its memory and its devices. */
export interface SavedVmState {
  readonly version: number;
  readonly vcpu: CommonVcpuState;
  readonly hotplug: SavedHotplug;
}

const CARRIAGE_RETURN = 13;
/** A vCPU that has not obeyed by then is ended by force. */
const STOP_LIMIT_MS = 2000;

export class VirtualMachine {
  readonly name: string;
  readonly image: GuestImage;
  readonly layout: MemoryLayout;
  readonly clock: Clock;
  readonly #kind: GuestKind;
  readonly #listeners = new Set<VmListener>();
  #state: VmState;
  #memory: WebAssembly.Memory | null;
  /** Holds the memory too: gone when the VM is. */
  #vcpuControl: VcpuControl | null;
  /** What goes to a guest's terminal is a console as well. */
  readonly #terminalLines = new ConsoleLines((line) => this.#emit({ kind: 'console', line }));
  readonly #threads: HostThreads;
  readonly #devices: VmDevices;
  #vcpuCore: VcpuThread | null = null;
  #exited: Promise<void> = Promise.resolve();
  #vcpuThread: string | null = null;
  #destroying: Promise<void> | null = null;

  /** Resolves when the guest is compiled and held: start(), or restoreVmState() and resume(), take effect at once. */
  static async create(options: VmOptions): Promise<VirtualMachine> {
    const { image: source } = options;
    const image = 'cacheDir' in source ? await loadImage(source.path, source) : source;
    const vm = new VirtualMachine(options, image);
    try {
      await vm.#build(options);
    } catch (error) {
      await vm.destroy();
      throw error;
    }
    return vm;
  }

  private constructor(options: VmOptions, image: GuestImage) {
    this.name = options.name;
    this.image = image;
    this.#threads = options.threads ?? realThreads;
    this.clock = this.#threads.timers;
    this.#kind = guestKind(image);
    this.layout = this.#kind.layout;
    this.#state = { kind: options.incoming === true ? 'incoming' : 'created' };
    this.#memory = options.memory ?? this.#kind.createMemory();
    if (options.onEvent !== undefined) this.#listeners.add(options.onEvent);
    const { timers } = this.#threads;
    this.#devices = new VmDevices(this.#kind, this.#memory, this.#threads);
    const compile = (wasm: Uint8Array): Promise<unknown> => this.#threads.compile(wasm);
    this.#vcpuControl = new VcpuControl(this.#kind.vcpu(this.#memory, compile), this.#memory, timers, {
      onPhase: (phase) => this.#follow(phase),
      onConsole: (line) => this.#emit({ kind: 'console', line }),
      onTerminal: (bytes) => {
        this.#emit({ kind: 'terminal', bytes });
        for (const byte of bytes) if (byte !== CARRIAGE_RETURN) this.#terminalLines.write(byte);
      },
    });
  }

  async #build(options: VmOptions): Promise<void> {
    const memory = this.memory;
    if (options.incoming !== true) {
      this.#kind.writeBoot(memory, options.commandLine ?? '', this.clock.nowNs());
    }
    await this.#devices.attach(memory, options);
    await this.#startVcpu(memory);
  }

  async #startVcpu(memory: WebAssembly.Memory): Promise<void> {
    const vcpu = this.#vcpu;
    let exited: () => void = () => {};
    this.#exited = new Promise((resolve) => {
      exited = resolve;
    });
    const died = new Promise<never>((_, reject) => {
      const boot = { name: this.name, image: this.image, memory, ...this.#devices.boot };
      this.#vcpuCore = this.#threads.startVcpu(boot, {
        onEvent: (event) => vcpu.receive(event),
        onThread: (path) => {
          this.#vcpuThread = path;
        },
        onError: (cause) => {
          const message = `the vCPU's worker died: ${cause.message}`;
          if (mayFollow(this.#state.kind, 'trapped')) {
            this.#enter({ kind: 'trapped', report: { message, stack: [] }, atNs: this.clock.nowNs() });
          }
          vcpu.abandon();
          reject(new VmError(message, { cause }));
        },
        onExit: () => exited(),
      });
    });
    // after the start nobody listens to it any more: the state tells
    died.catch(() => {});
    await Promise.race([vcpu.prepared, died]);
    if (vcpu.phase.kind === 'trapped') throw new VmError(vcpu.phase.report.message);
  }

  // --- lifecycle ------------------------------------------------------------------------------------------------------

  get state(): VmState {
    return this.#state;
  }

  /** First instruction of a created VM. */
  start(): void {
    this.#require('start', 'created');
    this.#vcpu.resume();
    this.#enter({ kind: 'running', atNs: this.clock.nowNs() });
  }

  /** Resolves when the guest stands still, or has ended before the order reached it. */
  async pause(): Promise<void> {
    this.#require('pause', 'running', 'paused', 'halted', 'trapped');
    await this.#vcpu.pause();
  }

  /** A paused guest goes on at once. Nothing happens to one that runs. */
  resume(): void {
    this.#require('resume', 'paused', 'running', 'halted');
    if (this.#state.kind !== 'paused') return;
    this.#vcpu.resume();
    this.#enter({ kind: 'running', atNs: this.clock.nowNs() });
  }

  /** Ends the guest and gives everything back; afterwards nothing touches its memory. Idempotent. */
  destroy(): Promise<void> {
    this.#destroying ??= this.#tearDown();
    return this.#destroying;
  }

  async #tearDown(): Promise<void> {
    this.#devices.quiet();
    await this.#stopVcpu();
    await this.#devices.release();
    this.#memory = null;
    this.#vcpuControl = null;
    this.#enter({ kind: 'destroyed' });
    this.#listeners.clear();
  }

  async #stopVcpu(): Promise<void> {
    const core = this.#vcpuCore;
    if (core === null) {
      this.#vcpu.abandon();
      return;
    }
    let cancel: () => void = () => {};
    const late = new Promise<'late'>((resolve) => {
      cancel = this.#threads.timers.after(STOP_LIMIT_MS, () => resolve('late'));
    });
    const inTime = await Promise.race([this.#vcpu.stop(), late]);
    cancel();
    if (inTime === 'late') this.#vcpu.abandon();
    // its thread has nothing to do any more, or does not listen: either way it ends now
    await core.terminate();
    await this.#exited;
    this.#vcpuCore = null;
  }

  get #vcpu(): VcpuControl {
    if (this.#vcpuControl === null) throw new VmStateError(this.name, 'destroyed', 'be controlled');
    return this.#vcpuControl;
  }

  // --- for the migration engine ---------------------------------------------------------------------------------------

  /** The whole memory, VMM area included; the guest's RAM is its first layout.ramBytes. */
  get memory(): WebAssembly.Memory {
    if (this.#memory === null) throw new VmStateError(this.name, 'destroyed', 'show its memory');
    return this.#memory;
  }

  /** Passed-through VFs in the order of their slots. */
  get vfs(): readonly PassedThroughVf[] {
    return this.#devices.vfs;
  }

  /** Paravirtual NICs in the order of their slots. */
  get nets(): readonly ParavirtualNet[] {
    return this.#devices.nets;
  }

  /** Hot-plug of the function in a slot; undefined where there never was one. */
  hotplugOf(slot: number): HotPlug | undefined {
    return this.#devices.hotplug.slot(slot);
  }

  /** Where a vCPU that logs marks the pages it stores to: guest RAM only. */
  openDirtyLog(): DirtyMap {
    return this.#kind.openDirtyLog(this.memory, this.#threads.wait);
  }

  /** Resolves when every store from now on is logged, or none is any more. */
  async setDirtyLogging(on: boolean): Promise<void> {
    await this.#vcpu.useBuild(on ? 'logging' : 'plain');
  }

  /** Takes this share (0..99 %) of the guest's time away. */
  setThrottle(percent: number): void {
    this.#vcpu.setThrottle(percent);
  }

  /** What devices wrote, a byte map of pages for each VF and each paravirtual NIC: for the verifier and reports only. */
  get groundTruth(): readonly SharedArrayBuffer[] {
    return this.#devices.groundTruth;
  }

  /** Only while the VM is paused or halted. */
  saveVmState(): SavedVmState {
    this.#require('be saved', 'paused', 'halted');
    return {
      version: VM_STATE_VERSION,
      vcpu: this.#vcpu.captureState(),
      hotplug: this.#devices.hotplug.save(),
    };
  }

  /** Takes a state over, which is not trusted. The VM is then paused; its memory must be complete before it resumes. */
  restoreVmState(value: unknown): void {
    this.#require('take over a state', 'incoming');
    const record = value as Partial<SavedVmState> | null;
    if (typeof record !== 'object' || record === null || record.version !== VM_STATE_VERSION) {
      throw new VmError(`the VM's state is not one of version ${VM_STATE_VERSION}`);
    }
    const vcpu = this.#kind.decodeState(record.vcpu);
    this.#devices.hotplug.restore(record.hotplug);
    this.#vcpu.restoreState(vcpu);
    if (this.#state.kind === 'incoming') this.#enter({ kind: 'paused', atNs: this.clock.nowNs() });
  }

  /** What somebody types, for a guest with a terminal. Returns how many bytes there was room for. */
  typeIn(bytes: Uint8Array): number {
    return new TerminalInput(this.memory, this.layout).write(bytes);
  }

  /** Raises an interrupt line of the guest. */
  raiseInterrupt(line: number): void {
    this.#vcpu.raiseInterrupt(line);
  }

  // --- for people -----------------------------------------------------------------------------------------------------

  subscribe(listener: VmListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nanoseconds that the vCPU's thread has run; null where the kernel does not tell, or the thread has ended. */
  get vcpuCpuNs(): number | null {
    return threadCpuNs(this.#vcpuThread);
  }

  info(): VmInfo {
    const control = controlWords(this.memory, this.layout);
    return {
      name: this.name,
      image: this.image.name,
      imageKey: this.image.key,
      state: this.#state,
      ramBytes: this.layout.ramBytes,
      build: this.#vcpu.build,
      exits: readExits(control),
      waits: control[CTRL.waits]! >>> 0,
      vcpuCpuNs: this.vcpuCpuNs,
      ...this.#devices.info(),
    };
  }

  #require(what: string, ...kinds: readonly VmStateKind[]): void {
    if (!kinds.includes(this.#state.kind)) throw new VmStateError(this.name, this.#state.kind, what);
  }

  /** The vCPU's phases that are the VM's too. */
  #follow(phase: VcpuPhase): void {
    const from = this.#state.kind;
    switch (phase.kind) {
      case 'paused':
        // held before its first instruction: still created, or incoming
        if (from === 'running') this.#enter({ kind: 'paused', atNs: phase.atNs });
        return;
      case 'running':
        if (from === 'paused') this.#enter({ kind: 'running', atNs: phase.atNs });
        return;
      case 'halted':
        if (mayFollow(from, 'halted'))
          this.#enter({ kind: 'halted', exitCode: phase.exitCode, atNs: phase.atNs });
        return;
      case 'trapped':
        if (mayFollow(from, 'trapped'))
          this.#enter({ kind: 'trapped', report: phase.report, atNs: phase.atNs });
    }
  }

  #enter(state: VmState): void {
    if (!mayFollow(this.#state.kind, state.kind)) {
      throw new VmStateError(this.name, this.#state.kind, `become ${state.kind}`);
    }
    this.#state = state;
    this.#emit({ kind: 'state', state });
  }

  #emit(event: VmEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
