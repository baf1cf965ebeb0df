/**
 * Opens a plugin's exit handler where the guest's writes are made, and stands between them: whatever the plugin does, the
 * write reaches the device once and the guest goes on. What went wrong is left in the control words for the host to find.
 */
import { type GuestExitHandler, loadAtOnce } from '../hypervisor/exit-hook.js';
import type { DeviceView } from './device-view.js';
import { SharedDirtyMarks } from './dirty-marks.js';
import type { ExitHandler, ExitModule } from './exit-api.js';

/** What crosses to the vCPU's thread. Structured-cloneable. */
export interface ExitStart {
  readonly module: string;
  readonly data: unknown;
  readonly control: SharedArrayBuffer;
  readonly shared: SharedArrayBuffer;
  readonly dirty: SharedArrayBuffer;
  readonly dirtyPages: number;
}

/** Words of the control memory; the text of a failure follows them, one byte a character. */
export const EXIT_CONTROL = { failed: 0, textBytes: 1 } as const;
export const EXIT_TEXT_BYTES = 480;
const TEXT_AT = 16;
export const EXIT_CONTROL_BYTES = TEXT_AT + EXIT_TEXT_BYTES;

/** Null: nothing went wrong so far. */
export function exitFailure(control: SharedArrayBuffer): string | null {
  const words = new Int32Array(control, 0, TEXT_AT >> 2);
  if (Atomics.load(words, EXIT_CONTROL.failed) === 0) return null;
  const bytes = new Uint8Array(control, TEXT_AT, Math.min(words[EXIT_CONTROL.textBytes]!, EXIT_TEXT_BYTES));
  return Buffer.from(bytes).toString();
}

function noteFailure(control: SharedArrayBuffer, error: unknown): void {
  const words = new Int32Array(control, 0, TEXT_AT >> 2);
  if (Atomics.load(words, EXIT_CONTROL.failed) !== 0) return;
  const text = Buffer.from(error instanceof Error ? error.message : String(error)).subarray(
    0,
    EXIT_TEXT_BYTES,
  );
  new Uint8Array(control, TEXT_AT, EXIT_TEXT_BYTES).set(text);
  words[EXIT_CONTROL.textBytes] = text.length;
  Atomics.store(words, EXIT_CONTROL.failed, 1);
}

/** Called by name, by whoever serves the guest's accesses: the module is an ExitOrder's `entry`. */
export function openExits(start: ExitStart, device: DeviceView): GuestExitHandler {
  try {
    const { createExitHandler } = loadAtOnce(start.module) as ExitModule;
    const { vf, ram, bar0, bar3, pf, pages, clock } = device;
    const dirty = new SharedDirtyMarks(start.dirty, start.dirtyPages);
    const shared = new Int32Array(start.shared);
    const view = { vf, ram, bar0, bar3, pf, pages, clock, dirty, shared };
    return new GuardedHandler(createExitHandler(view, start.data), start.control);
  } catch (error) {
    noteFailure(start.control, error);
    return { write: (_offset, _value, carryOut) => carryOut() };
  }
}

class GuardedHandler implements GuestExitHandler {
  readonly #handler: ExitHandler;
  readonly #control: SharedArrayBuffer;
  #carryOut: (() => void) | null = null;

  constructor(handler: ExitHandler, control: SharedArrayBuffer) {
    this.#handler = handler;
    this.#control = control;
  }

  write(offset: number, value: number, carryOut: () => void): void {
    this.#carryOut = carryOut;
    try {
      this.#handler.write(offset, value, this.#carryOutOnce);
    } catch (error) {
      noteFailure(this.#control, error);
    }
    this.#carryOutOnce();
  }

  readonly #carryOutOnce = (): void => {
    const carryOut = this.#carryOut;
    this.#carryOut = null;
    carryOut?.();
  };
}
