/**
 * Where a vCPU that stands still leaves its devices' state, for the main thread to capture or to replace: the part of the
 * VMM area in which other guests keep Asyncify's frames.
 *
 *   vCPU:  pause -> leave(state)           resume -> take(), which is null unless the main thread put another one
 *   main:  paused -> bytes() / put(bytes)
 */
import { ASYNCIFY_BYTES, CTRL, type MemoryLayout } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';
import { MachineStateError } from './state-fields.js';
import { decodeState, encodeState } from './state-text.js';

const VALID = { none: 0, left: 1, put: 2 } as const;
export const MOST_STATE_BYTES = ASYNCIFY_BYTES;

export class StateArea {
  readonly #control: Int32Array;
  readonly #area: Uint8Array;

  constructor(memory: WebAssembly.Memory, layout: MemoryLayout) {
    this.#control = controlWords(memory, layout);
    this.#area = new Uint8Array(memory.buffer, layout.asyncifyOffset, ASYNCIFY_BYTES);
  }

  leave(state: unknown): void {
    this.#store(encodeState(state), VALID.left);
  }

  /** @throws MachineStateError */
  take(): unknown {
    const control = this.#control;
    if (Atomics.exchange(control, CTRL.framesValid, VALID.none) !== VALID.put) return null;
    try {
      return decodeState(this.bytes());
    } catch (error) {
      throw new MachineStateError('devices', (error as Error).message);
    }
  }

  /** A copy of what was left. */
  bytes(): Uint8Array {
    const length = this.#control[CTRL.frameBytes]!;
    return this.#area.slice(0, Math.min(Math.max(length, 0), ASYNCIFY_BYTES));
  }

  put(bytes: Uint8Array): void {
    this.#store(bytes, VALID.put);
  }

  #store(bytes: Uint8Array, valid: number): void {
    if (bytes.length > ASYNCIFY_BYTES) throw new MachineStateError('devices', `${bytes.length} bytes`);
    this.#area.set(bytes);
    this.#control[CTRL.frameBytes] = bytes.length;
    Atomics.store(this.#control, CTRL.framesValid, valid);
  }
}
