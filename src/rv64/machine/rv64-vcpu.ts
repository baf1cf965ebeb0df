/**
 * A riscv64 vCPU in its thread. The same orders reach it through the control page as any vCPU, and it answers with the
 * same events.
 *
 *   obey -> take over a state, if one was put -> slices -> leave for an order -> leave the devices' state -> obey ...
 *                                                  |-> wfi: sleep until an interrupt, the timer, an order
 *                                                  '-> reset: halted, or booted again
 */
import { blockThread, type Clock, type WordWait } from '../../hardware/clock.js';
import type { GuestBus } from '../../machine/guest-bus.js';
import { CTRL, VCPU_BUILD, VCPU_COMMAND } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';
import { throttledSleepMs } from '../../machine/vcpu.js';
import { standingOrder, type VcpuPort, VcpuReporter } from '../../machine/vcpu-reporter.js';
import type { Rv64Layout } from '../cpu/layout.js';
import { DIRTY_GENERATION, DIRTY_LOGGING } from '../cpu/wasm/offsets.js';
import { Rv64Machine } from './machine.js';
import type { SystemReset } from './sbi.js';
import { StateArea } from './state-area.js';
import { TerminalInput } from './terminal-input.js';

export interface Rv64VcpuBoot {
  readonly memory: WebAssembly.Memory;
  readonly layout: Rv64Layout;
  readonly port: VcpuPort;
  /** Slots of passed-through VFs on the bus. */
  readonly vfSlots: readonly number[];
}

export interface Rv64VcpuHost {
  readonly bus: GuestBus;
  readonly clock: Clock;
  readonly wallNs: () => bigint;
  readonly random: (bytes: Uint8Array) => void;
  /** Puts the machine into the state of a first boot. */
  readonly boot: (machine: Rv64Machine) => void;
  readonly wait?: WordWait;
}

/** Instructions between two looks at what devices do by themselves; orders interrupt a slice at once. */
const SLICE_INSTRUCTIONS = 2_000_000;
/** The longest sleep: the real-time clock's alarm is looked at then. */
const LONGEST_SLEEP_MS = 1000;
/** Output is handed on at the end of a slice, or when so much has gathered. */
const OUTPUT_BYTES = 4096;

export class Rv64Vcpu {
  readonly #machine: Rv64Machine;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #waitNs: Float64Array;
  readonly #reporter: VcpuReporter;
  readonly #port: VcpuPort;
  readonly #host: Rv64VcpuHost;
  readonly #wait: WordWait;
  readonly #area: StateArea;
  readonly #input: TerminalInput;
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #booted = false;

  constructor({ memory, layout, port, vfSlots }: Rv64VcpuBoot, host: Rv64VcpuHost) {
    const { machine } = layout;
    this.#host = host;
    this.#port = port;
    this.#wait = host.wait ?? blockThread;
    this.#control = controlWords(memory, machine);
    this.#words = new Int32Array(memory.buffer, layout.cpuOffset, (DIRTY_GENERATION + 4) / 4);
    this.#waitNs = new Float64Array(memory.buffer, machine.controlOffset + CTRL.waitNs * 4, 1);
    this.#reporter = new VcpuReporter(this.#control, port, host.clock);
    this.#area = new StateArea(memory, machine);
    this.#input = new TerminalInput(memory, machine);
    this.#machine = new Rv64Machine({
      memory,
      layout,
      vfSlots,
      ...host,
      consoleOut: (bytes) => this.#gather(bytes),
    });
  }

  /** Runs until it halts, traps or is stopped. Blocks its thread; never throws for a guest. */
  runToEnd(): void {
    const reporter = this.#reporter;
    reporter.prepared();
    try {
      while (this.#obey()) {
        this.#enter();
        const reset = this.#runSlices();
        this.#handOut();
        if (reset === null) {
          this.#takeTyped();
          this.#area.leave(this.#machine.board.save());
        } else if (reset.kind === 'poweroff') {
          reporter.halted(reset.failed ? 1 : 0);
          return;
        } else {
          this.#machine.reset();
          this.#host.boot(this.#machine);
        }
      }
      reporter.stopped();
    } catch (error) {
      reporter.trapped(error);
    }
  }

  /** Outside the guest: stands still as long as it is told to. False: it is to end. */
  #obey(): boolean {
    const control = this.#control;
    for (;;) {
      const order = standingOrder(control);
      if (order.kind === 'stop') return false;
      if (order.kind === 'run') {
        this.#reporter.running();
        return true;
      }
      const { command } = order;
      this.#reporter.paused(command);
      while (Atomics.load(control, CTRL.command) === command) {
        this.#wait(control, CTRL.command, command, Number.POSITIVE_INFINITY);
      }
    }
  }

  #enter(): void {
    const put = this.#area.take();
    if (put !== null) {
      this.#machine.board.restore(put);
      this.#machine.core.flush();
    } else if (!this.#booted) {
      this.#host.boot(this.#machine);
    }
    this.#booted = true;
    const build = Atomics.load(this.#control, CTRL.build);
    Atomics.store(this.#words, DIRTY_LOGGING / 4, build === VCPU_BUILD.logging ? 1 : 0);
    // the next instruction runs with a TLB that knows of the change
    Atomics.add(this.#words, DIRTY_GENERATION / 4, 1);
    this.#machine.core.acknowledgeDirtyLog();
    this.#reporter.entered(build);
  }

  /** Null: an order is waiting. */
  #runSlices(): SystemReset | null {
    const { board } = this.#machine;
    for (;;) {
      const end = this.#machine.slice(SLICE_INSTRUCTIONS);
      if (end.kind === 'reset') return end.reset;
      if (end.kind === 'attention' && this.#mustLeave()) return null;
      if (this.#outputBytes > 0) this.#handOut();
      this.#takeTyped();
      board.poll();
      if (end.kind === 'wait' && !this.#sleep(end.untilNs)) return null;
    }
  }

  #takeTyped(): void {
    const typed = this.#input.read();
    if (typed.length > 0) this.#machine.board.console.input(typed);
  }

  #mustLeave(): boolean {
    const control = this.#control;
    // cleared first: a command that comes after this line sets it again
    Atomics.store(control, CTRL.attention, 0);
    const throttlePercent = control[CTRL.throttlePercent]!;
    if (throttlePercent > 0) {
      this.#wait(control, CTRL.command, VCPU_COMMAND.none, throttledSleepMs(throttlePercent));
    }
    return Atomics.load(control, CTRL.command) !== VCPU_COMMAND.none;
  }

  /** Until an interrupt is pending, the timer is due or somebody wants something. False: an order is waiting. */
  #sleep(untilNs: number | null): boolean {
    const control = this.#control;
    // the sequence is read first: what comes after it ends the sleep at once
    const sequence = Atomics.load(control, CTRL.irqSequence);
    if (Atomics.load(control, CTRL.command) !== VCPU_COMMAND.none) return false;
    if (Atomics.load(control, CTRL.attention) !== 0 || this.#machine.core.interruptPending()) return true;
    const dueMs = untilNs === null ? LONGEST_SLEEP_MS : (untilNs - this.#machine.nowNs) / 1e6;
    if (dueMs <= 0) return true;
    const startNs = this.#host.clock.nowNs();
    this.#wait(control, CTRL.irqSequence, sequence, Math.min(dueMs, LONGEST_SLEEP_MS));
    control[CTRL.waits] = control[CTRL.waits]! + 1;
    this.#waitNs[0] = this.#waitNs[0]! + this.#host.clock.nowNs() - startNs;
    return true;
  }

  #gather(bytes: Uint8Array): void {
    this.#output.push(bytes);
    this.#outputBytes += bytes.length;
    if (this.#outputBytes >= OUTPUT_BYTES) this.#handOut();
  }

  #handOut(): void {
    if (this.#outputBytes === 0) return;
    this.#port.postMessage({ kind: 'terminal', bytes: new Uint8Array(Buffer.concat(this.#output)) });
    this.#output = [];
    this.#outputBytes = 0;
  }
}
