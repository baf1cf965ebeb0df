/**
 * A stopped riscv64 vCPU as data, its devices included. Comes from the network or a file: decoded as hostile.
 */

import { MAX_COMMAND_LINE_BYTES, type MemoryLayout } from '../../machine/layout.js';
import { readCommandLine, writeCommandLine } from '../../machine/memory.js';
import type { CommonVcpuState, VcpuExit, VcpuKind } from '../../machine/vcpu-kind.js';
import type { Rv64Layout } from '../cpu/layout.js';
import { decodeCpuState, restoreCpu, saveCpu } from '../cpu/state.js';
import { MOST_STATE_BYTES, StateArea } from './state-area.js';
import { StateFields } from './state-fields.js';
import { decodeState, encodeState } from './state-text.js';

const VERSION = 1;
const MOST_CPU_BYTES = 65536;

export interface Rv64VcpuState extends CommonVcpuState {
  readonly version: number;
  /** A CpuState, encoded: CBOR's plain numbers end at 2^53. */
  readonly cpu: Uint8Array;
  /** As the vCPU's thread left them; it decodes them before it goes on. */
  readonly devices: Uint8Array;
  readonly commandLine: Uint8Array;
}

/** @throws MachineStateError */
export function decodeRv64VcpuState(value: unknown): Rv64VcpuState {
  const fields = new StateFields('vCPU', value, VERSION);
  return {
    version: VERSION,
    cpu: decodeCpu(fields),
    devices: fields.bytes('devices', MOST_STATE_BYTES),
    commandLine: fields.bytes('commandLine', MAX_COMMAND_LINE_BYTES),
    clockNs: fields.time('clockNs'),
    exit: decodeExit(fields),
  };
}

function decodeCpu(fields: StateFields): Uint8Array {
  const bytes = fields.bytes('cpu', MOST_CPU_BYTES);
  try {
    decodeCpuState(decodeState(bytes));
  } catch (error) {
    throw fields.error((error as Error).message);
  }
  return bytes;
}

function decodeExit(fields: StateFields): VcpuExit {
  const exit = fields.part('exit') as { kind?: unknown; exitCode?: unknown } | null;
  if (exit?.kind === 'none') return { kind: 'none' };
  const { exitCode } = exit ?? {};
  if (exit?.kind !== 'halted' || (exitCode !== 0 && exitCode !== 1)) throw fields.error('exit is no end');
  return { kind: 'halted', exitCode };
}

export class Rv64VcpuKind implements VcpuKind<Rv64VcpuState> {
  readonly layout: MemoryLayout;
  readonly #memory: WebAssembly.Memory;
  readonly #whole: Rv64Layout;
  readonly #area: StateArea;

  constructor(memory: WebAssembly.Memory, layout: Rv64Layout) {
    this.layout = layout.machine;
    this.#memory = memory;
    this.#whole = layout;
    this.#area = new StateArea(memory, layout.machine);
  }

  /** One core does both. */
  async loggingReady(): Promise<void> {}

  capture({ clockNs, exit }: CommonVcpuState): Rv64VcpuState {
    return {
      version: VERSION,
      cpu: encodeState(saveCpu(this.#memory, this.#whole)),
      devices: this.#area.bytes(),
      commandLine: readCommandLine(this.#memory, this.layout),
      clockNs,
      exit,
    };
  }

  restore(state: Rv64VcpuState): void {
    restoreCpu(this.#memory, this.#whole, decodeCpuState(decodeState(state.cpu)));
    this.#area.put(state.devices);
    writeCommandLine(this.#memory, this.layout, state.commandLine);
  }
}
