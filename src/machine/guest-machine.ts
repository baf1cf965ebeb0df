/**
 * The machine interface as the guest's core calls it: direct functions, no component glue in between. Arguments arrive
 * as signed 32-bit numbers and leave for the bus as unsigned ones.
 */
import type { Clock, WordWait } from '../hardware/clock.js';
import type { ConsoleLines } from './console-lines.js';
import type { GuestBus } from './guest-bus.js';
import { CTRL, type MemoryLayout, VCPU_COMMAND } from './layout.js';
import { controlWords, readCommandLine } from './memory.js';

const FOREVER_US = 0xffffffff;
const PAST_THE_END = -1;

export interface MachineParts {
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly bus: GuestBus;
  readonly clock: Clock;
  readonly console: ConsoleLines;
  /** How the guest waits for an interrupt. */
  readonly wait: WordWait;
}

/** Import object of the machine interface, by the names of the guest's world. */
export function machineFunctions({
  memory,
  layout,
  bus,
  clock,
  console,
  wait,
}: MachineParts): Record<string, unknown> {
  const control = controlWords(memory, layout);
  const clockOffset = new Float64Array(memory.buffer, layout.controlOffset + CTRL.clockOffset * 4, 1);
  const waiter = new InterruptWaiter(control, memory, layout, clock, wait, () => bus.endOfInterrupt?.());
  let commandLine: Uint8Array | null = null;
  return {
    'pci-read': (slot: number, offset: number) => bus.pciRead(slot >>> 0, offset >>> 0) | 0,
    'pci-write': (slot: number, offset: number, value: number) => {
      bus.pciWrite(slot >>> 0, offset >>> 0, value >>> 0);
    },
    'bar-read': (slot: number, bar: number, offset: number) =>
      bus.barRead(slot >>> 0, bar >>> 0, offset >>> 0) | 0,
    'bar-write': (slot: number, bar: number, offset: number, value: number) => {
      bus.barWrite(slot >>> 0, bar >>> 0, offset >>> 0, value >>> 0);
    },
    'wait-for-interrupt': (timeoutUs: number) => waiter.wait(timeoutUs >>> 0),
    'clock-ns': () => BigInt(Math.max(0, Math.trunc(clock.nowNs() + clockOffset[0]))),
    'console-write': (byte: number) => {
      console.write(byte & 0xff);
    },
    'command-line': (index: number) => {
      // read late: a destination's command line arrives with the vCPU's state
      commandLine ??= readCommandLine(memory, layout);
      return commandLine[index >>> 0] ?? PAST_THE_END;
    },
  };
}

class InterruptWaiter {
  readonly #control: Int32Array;
  readonly #waitNs: Float64Array;
  readonly #clock: Clock;
  readonly #wait: WordWait;
  readonly #endOfInterrupt: () => void;
  /** The guest took lines and has not come back since. */
  #isInService = false;

  constructor(
    control: Int32Array,
    memory: WebAssembly.Memory,
    layout: MemoryLayout,
    clock: Clock,
    wait: WordWait,
    endOfInterrupt: () => void,
  ) {
    this.#control = control;
    this.#waitNs = new Float64Array(memory.buffer, layout.controlOffset + CTRL.waitNs * 4, 1);
    this.#clock = clock;
    this.#wait = wait;
    this.#endOfInterrupt = endOfInterrupt;
  }

  /** Pending lines, taken; or 0 after the time, or as soon as the monitor wants the vCPU. */
  wait(timeoutUs: number): number {
    if (this.#isInService) this.#endOfInterrupt();
    const lines = this.#take(timeoutUs);
    this.#isInService = lines !== 0;
    return lines;
  }

  #take(timeoutUs: number): number {
    const control = this.#control;
    // the sequence is read first: an interrupt that comes after it ends the sleep below at once
    const sequence = Atomics.load(control, CTRL.irqSequence);
    const pending = Atomics.exchange(control, CTRL.irqPending, 0);
    if (pending !== 0 || timeoutUs === 0) return pending;
    if (Atomics.load(control, CTRL.command) !== VCPU_COMMAND.none) return 0;
    const startNs = this.#clock.nowNs();
    this.#wait(
      control,
      CTRL.irqSequence,
      sequence,
      timeoutUs === FOREVER_US ? Number.POSITIVE_INFINITY : timeoutUs / 1000,
    );
    control[CTRL.waits]++;
    this.#waitNs[0] += this.#clock.nowNs() - startNs;
    return Atomics.exchange(control, CTRL.irqPending, 0);
  }
}
