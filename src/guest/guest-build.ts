/**
 * One build of a guest, instantiated over its memory: the core `run` and what Asyncify and the rewriter export.
 */
import { VALUE_TYPE } from './wasm/wasm-module.js';
import { GLOBAL_EXPORT_PREFIX, RUN_EXPORT } from './world.js';

/** What asyncify_get_state returns. */
export const ASYNCIFY_STATE = { normal: 0, unwinding: 1, rewinding: 2 } as const;

type Imports = Record<string, Record<string, unknown>>;

export class GuestBuild {
  /** The core function: enters the guest, or goes on where the frames lead when a rewind was started. */
  readonly run: () => number;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly #startUnwind: (data: number) => void;
  readonly #stopUnwind: () => void;
  readonly #startRewind: (data: number) => void;
  readonly #stopRewind: () => void;
  readonly #state: () => number;
  readonly #globals: WebAssembly.Global[] = [];
  readonly #globalTypes: readonly number[];

  constructor(module: WebAssembly.Module, imports: Imports, globalTypes: readonly number[]) {
    const { exports } = new WebAssembly.Instance(module, imports as WebAssembly.Imports);
    this.exports = exports;
    this.#globalTypes = globalTypes;
    this.run = exports[RUN_EXPORT] as () => number;
    this.#startUnwind = exports['asyncify_start_unwind'] as (data: number) => void;
    this.#stopUnwind = exports['asyncify_stop_unwind'] as () => void;
    this.#startRewind = exports['asyncify_start_rewind'] as (data: number) => void;
    this.#stopRewind = exports['asyncify_stop_rewind'] as () => void;
    this.#state = exports['asyncify_get_state'] as () => number;
    for (let i = 0; i < globalTypes.length; i++) {
      this.#globals.push(exports[`${GLOBAL_EXPORT_PREFIX}${i}`] as WebAssembly.Global);
    }
  }

  /** One of ASYNCIFY_STATE. */
  get asyncifyState(): number {
    return this.#state();
  }

  startUnwind(data: number): void {
    this.#startUnwind(data);
  }

  stopUnwind(): void {
    this.#stopUnwind();
  }

  startRewind(data: number): void {
    this.#startRewind(data);
  }

  stopRewind(): void {
    this.#stopRewind();
  }

  /** Writes every mutable global as 8 bytes from `offset` on. */
  saveGlobals(view: DataView, offset: number): void {
    this.#globals.forEach((global, i) => {
      const at = offset + i * 8;
      switch (this.#globalTypes[i]) {
        case VALUE_TYPE.i32:
          view.setInt32(at, global.value as number, true);
          break;
        case VALUE_TYPE.i64:
          view.setBigInt64(at, global.value as bigint, true);
          break;
        case VALUE_TYPE.f32:
          view.setFloat32(at, global.value as number, true);
          break;
        default:
          view.setFloat64(at, global.value as number, true);
      }
    });
  }

  loadGlobals(view: DataView, offset: number): void {
    this.#globals.forEach((global, i) => {
      const at = offset + i * 8;
      switch (this.#globalTypes[i]) {
        case VALUE_TYPE.i32:
          global.value = view.getInt32(at, true);
          break;
        case VALUE_TYPE.i64:
          global.value = view.getBigInt64(at, true);
          break;
        case VALUE_TYPE.f32:
          global.value = view.getFloat32(at, true);
          break;
        default:
          global.value = view.getFloat64(at, true);
      }
    });
  }
}
