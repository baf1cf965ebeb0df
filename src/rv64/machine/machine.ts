/**
 * The riscv64 machine in its vCPU's thread: the hart and the board around it, run in slices.
 *
 *   slice: run -> ecall: SBI, go on | attention, budget: the caller decides | wfi: the caller waits | reset: it is over
 */
import type { Clock } from '../../hardware/clock.js';
import { SharedDirtyMap } from '../../machine/dirty-map.js';
import type { GuestBus } from '../../machine/guest-bus.js';
import { wakeVcpu } from '../../machine/interrupt-lines.js';
import { CTRL } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';
import { RUN, Rv64Core } from '../cpu/core.js';
import type { Rv64Layout } from '../cpu/layout.js';
import { Board } from './board.js';
import { GuestRam } from './guest-ram.js';
import { NS_PER_TICK } from './memory-map.js';
import type { SystemReset } from './sbi.js';

export interface MachineParts {
  readonly memory: WebAssembly.Memory;
  readonly layout: Rv64Layout;
  readonly clock: Clock;
  /** Nanoseconds since 1970. */
  readonly wallNs: () => bigint;
  readonly random: (bytes: Uint8Array) => void;
  readonly bus: GuestBus;
  readonly vfSlots: readonly number[];
  readonly consoleOut: (bytes: Uint8Array) => void;
  /** Compiled elsewhere; else here. */
  readonly core?: WebAssembly.Module;
}

/** Why a slice ended. */
export type SliceEnd =
  | { readonly kind: 'budget' }
  | { readonly kind: 'attention' }
  /** Nothing to do until an interrupt, or this guest time; null: none is set. */
  | { readonly kind: 'wait'; readonly untilNs: number | null }
  | { readonly kind: 'reset'; readonly reset: SystemReset };

const BUDGET: SliceEnd = { kind: 'budget' };
const ATTENTION: SliceEnd = { kind: 'attention' };
/** Timers further away are none: some 28 years. */
const NEVER_TICKS = 2n ** 53n;

export class Rv64Machine {
  readonly core: Rv64Core;
  readonly #makeBoard: () => Board;
  #board: Board;
  readonly #clock: Clock;
  readonly #clockOffset: Float64Array;
  #lastTicks = 0;

  constructor(parts: MachineParts) {
    const { memory, layout, clock } = parts;
    const { machine } = layout;
    this.#clock = clock;
    this.#clockOffset = new Float64Array(memory.buffer, machine.controlOffset + CTRL.clockOffset * 4, 1);
    const control = controlWords(memory, machine);
    const log = new SharedDirtyMap(
      memory.buffer as unknown as SharedArrayBuffer,
      machine.dirtyLogOffset,
      machine.ramPages,
    );
    this.core = new Rv64Core(
      memory,
      layout,
      {
        mmioRead: (low, high, size) => this.#read(high * 2 ** 32 + low, size),
        mmioWrite: (low, high, size, valueLow, valueHigh) =>
          this.#write(high * 2 ** 32 + low, size, valueLow, valueHigh),
        time: () => this.#ticks(),
      },
      parts.core,
    );
    const ram = new GuestRam(memory.buffer, machine.ramBytes, log);
    this.#makeBoard = () =>
      new Board({
        ...parts,
        hart: this.core,
        ram,
        raise: (identity) => {
          this.core.imsicRaise(identity);
          wakeVcpu(control);
        },
      });
    this.#board = this.#makeBoard();
  }

  get board(): Board {
    return this.#board;
  }

  /** Power on again: every device as new, VFs reset. The hart is the boot's affair. */
  reset(): void {
    this.#board.resetVfs();
    this.#board = this.#makeBoard();
  }

  /** The guest's clock. */
  get nowNs(): number {
    return this.#clock.nowNs() + this.#clockOffset[0]!;
  }

  /** Runs at most so many instructions. */
  slice(budget: number): SliceEnd {
    const end = this.core.instructions() + budget;
    for (;;) {
      const left = end - this.core.instructions();
      if (left <= 0) return BUDGET;
      switch (this.core.run(left)) {
        case RUN.ecall: {
          const reset = this.board.sbi.call();
          if (reset !== null) return { kind: 'reset', reset };
          break;
        }
        case RUN.wfi:
          return { kind: 'wait', untilNs: this.#timerNs() };
        case RUN.attention:
          return ATTENTION;
        default:
          return BUDGET;
      }
    }
  }

  #timerNs(): number | null {
    const ticks = this.core.stimecmp();
    return ticks < NEVER_TICKS ? Number(ticks) * NS_PER_TICK : null;
  }

  #ticks(): number {
    const now = Math.floor(this.nowNs / NS_PER_TICK);
    if (now > this.#lastTicks) this.#lastTicks = now;
    return this.#lastTicks;
  }

  #read(address: number, size: number): number {
    const device = this.board.bus.find(address);
    if (device === null) {
      this.core.mmioFault();
      return 0xffff_ffff;
    }
    const offset = address - device.range.base;
    if (size !== 8) return device.read(offset, size);
    this.core.mmioHigh = device.read(offset + 4, 4) | 0;
    return device.read(offset, 4);
  }

  #write(address: number, size: number, low: number, high: number): void {
    const device = this.board.bus.find(address);
    if (device === null) {
      this.core.mmioFault();
      return;
    }
    const offset = address - device.range.base;
    device.write(offset, Math.min(size, 4), low);
    if (size === 8) device.write(offset + 4, 4, high);
  }
}
