/**
 * One hart: the compiled interpreter over a VM's memory. All of its state lies in that memory; what the instance keeps
 * besides can be forgotten at any time (flush).
 *
 *   run(budget) -> budget | attention | ecall (an SBI call) | wfi
 */
import { readFileSync } from 'node:fs';
import { compileAtFullSpeed } from '../../machine/full-speed.js';
import { CTRL } from '../../machine/layout.js';
import type { Rv64Layout } from './layout.js';
import * as AT from './wasm/offsets.js';

/** Why a run ended. */
export const RUN = {
  budget: AT.RUN_BUDGET,
  /** The control page's attention word is not zero. */
  attention: AT.RUN_ATTENTION,
  /** ECALL from S mode; pc is behind it. */
  ecall: AT.RUN_ECALL,
  /** Nothing to do until an interrupt is pending; pc is behind the WFI. */
  wfi: AT.RUN_WFI,
} as const;

/** What the core calls for: everything outside RAM, and time. Addresses and values are unsigned 32-bit halves. */
export interface CorePorts {
  /** The low word. With size 8 the high word goes to core.mmioHigh; with nothing there call core.mmioFault(). */
  mmioRead(addressLow: number, addressHigh: number, size: number): number;
  mmioWrite(addressLow: number, addressHigh: number, size: number, low: number, high: number): void;
  /** Guest time in ticks: a whole number below 2^53 that never goes back. */
  time(): number;
}

interface CoreExports {
  run(budget: number): number;
  flush(): void;
  acknowledgeDirtyLog(): void;
  interruptPending(): number;
}

/** The interpreter's module was not built. */
export class CoreMissingError extends Error {
  constructor(path: string, cause: unknown) {
    super(`the riscv64 core is not at ${path}: run 'npm run setup'`, { cause });
    this.name = 'CoreMissingError';
  }
}

/** Bit of sip. */
const SSIP = 2n;

let compiled: WebAssembly.Module | null = null;

/** Compiled once in a thread; can be posted to another. */
export function coreModule(): WebAssembly.Module {
  if (compiled !== null) return compiled;
  const file = new URL('./core.wasm', import.meta.url);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(readFileSync(file));
  } catch (cause) {
    throw new CoreMissingError(file.pathname, cause);
  }
  // the interpreter's loop is one large function: in baseline code it is several times slower
  compileAtFullSpeed();
  compiled = new WebAssembly.Module(bytes);
  return compiled;
}

export class Rv64Core {
  readonly #exports: CoreExports;
  readonly #words: Int32Array;
  readonly #longs: BigUint64Array;

  /** @param module when it was compiled elsewhere. */
  constructor(
    memory: WebAssembly.Memory,
    layout: Rv64Layout,
    ports: CorePorts,
    module: WebAssembly.Module = coreModule(),
  ) {
    const { cpuOffset, machine } = layout;
    this.#words = new Int32Array(memory.buffer, cpuOffset, AT.PAGE / 4);
    this.#longs = new BigUint64Array(memory.buffer, cpuOffset, AT.PAGE / 8);
    const instance = new WebAssembly.Instance(module, {
      env: {
        memory,
        cpu: cpuOffset,
        ramBytes: machine.ramBytes,
        dirtyLog: machine.dirtyLogOffset,
        attention: machine.controlOffset + CTRL.attention * 4,
      },
      machine: {
        mmioRead: (low: number, high: number, size: number) =>
          ports.mmioRead(low >>> 0, high >>> 0, size) | 0,
        mmioWrite: (low: number, high: number, size: number, valueLow: number, valueHigh: number) =>
          ports.mmioWrite(low >>> 0, high >>> 0, size, valueLow >>> 0, valueHigh >>> 0),
        time: () => ports.time(),
      },
    });
    this.#exports = instance.exports as unknown as CoreExports;
    this.flush();
  }

  /** Power on: S mode, address translation off, x10 and x11 as the boot protocol wants them. */
  reset(entry: number, hartId: number, deviceTreeAddress: number): void {
    this.#words.fill(0, 0, AT.MMIO_HIGH / 4);
    this.#longs[AT.PC / 8] = BigInt(entry);
    this.#words[AT.PRIVILEGE / 4] = AT.PRIVILEGE_S;
    this.#longs[AT.STIMECMP / 8] = 0xffff_ffff_ffff_ffffn;
    // as firmware leaves it: user mode may read cycle, time and instret
    this.#longs[AT.SCOUNTEREN / 8] = 7n;
    this.setX(10, BigInt(hartId));
    this.setX(11, BigInt(deviceTreeAddress));
    this.flush();
  }

  /** Runs at most that many instructions; returns RUN.*. */
  run(budget: number): number {
    return this.#exports.run(budget);
  }

  /** Forgets decoded code and translations: after anybody but the guest wrote code, or the state. */
  flush(): void {
    this.#exports.flush();
  }

  /** For a vCPU that stands still: what it would do for the dirty log when it ran. */
  acknowledgeDirtyLog(): void {
    this.#exports.acknowledgeDirtyLog();
  }

  /** Would a WFI return now? */
  interruptPending(): boolean {
    return this.#exports.interruptPending() !== 0;
  }

  /** Makes an interrupt identity pending. */
  imsicRaise(identity: number): void {
    if (identity < 1 || identity > AT.IMSIC_IDS) return;
    Atomics.or(this.#words, AT.IMSIC_EIP / 4 + (identity >> 5), 1 << (identity & 31));
  }

  /** In a mmioRead of 8 bytes: the upper four. */
  set mmioHigh(value: number) {
    this.#words[AT.MMIO_HIGH / 4] = value;
  }

  /** In a port's mmioRead or mmioWrite: nothing answers there, the guest takes an access fault. */
  mmioFault(): void {
    this.#words[AT.MMIO_FAULT / 4] = 1;
  }

  x(n: number): bigint {
    return this.#longs[AT.X / 8 + n]!;
  }

  /** The low half, unsigned. */
  xLow(n: number): number {
    return this.#words[AT.X / 4 + n * 2]! >>> 0;
  }

  setX(n: number, value: bigint): void {
    if (n !== 0) this.#longs[AT.X / 8 + n] = value;
  }

  get pc(): bigint {
    return this.#longs[AT.PC / 8]!;
  }

  set pc(value: bigint) {
    this.#longs[AT.PC / 8] = value;
  }

  get privilege(): number {
    return this.#words[AT.PRIVILEGE / 4]!;
  }

  /** When the guest's timer is due, in ticks. */
  stimecmp(): bigint {
    return this.#longs[AT.STIMECMP / 8]!;
  }

  /** Sets the guest's timer, in ticks. */
  setStimecmp(ticks: bigint): void {
    this.#longs[AT.STIMECMP / 8] = ticks;
  }

  /** Supervisor software interrupt: pending until the guest clears it. */
  raiseSoftwareInterrupt(): void {
    this.#longs[AT.SIP / 8] = this.#longs[AT.SIP / 8]! | SSIP;
  }

  /** A floating-point register as it lies: a single is boxed. */
  f(n: number): bigint {
    return this.#longs[AT.F / 8 + n]!;
  }

  setF(n: number, value: bigint): void {
    this.#longs[AT.F / 8 + n] = value;
  }

  /** Instructions retired since power on. */
  instructions(): number {
    return Number(this.#longs[AT.INSTRET / 8]!);
  }
}
