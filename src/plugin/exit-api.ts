/**
 * The half of a plugin that runs at VM exits: a module that exports `createExitHandler`. It is called in the vCPU's thread,
 * in the middle of the guest's write to a page of BAR0 that is mapped `trapped` for it, before the write reaches the device.
 * The guest waits meanwhile: be short, wait for nobody, await nothing.
 *
 *   guest writes -> VM exit (counted) -> write(offset, value, carryOut) -> the device has it -> the guest goes on
 *
 * Only the vCPU's thread calls it, one write at a time. To see or change what it keeps, the main half holds the page
 * (`pages.map(page, 'trapped', whileHeld)`): meanwhile no write is under way.
 */
import type { DeviceView, DirtyMarks } from './device-view.js';

export interface ExitView extends DeviceView {
  readonly dirty: DirtyMarks;
  /** Words that the plugin's main half sees as ExitsHandle.shared. */
  readonly shared: Int32Array;
}

export interface ExitHandler {
  /**
   * The guest writes `value` to the register at `offset`. `carryOut` gives the write to the device; one that was not carried
   * out when write() returns is carried out then. A throw fails the migration, never the guest.
   */
  write(offset: number, value: number, carryOut: () => void): void;
}

export type CreateExitHandler = (view: ExitView, data: unknown) => ExitHandler;

/** What an exit handler's module must export. It is loaded in the middle of an access: no top-level await. */
export interface ExitModule {
  readonly createExitHandler: CreateExitHandler;
}

/** A tracker's wish to be told of the guest's writes. The host maps the pages, and maps them back. */
export interface ExitRequest {
  /** Absolute file: URL of the module: `new URL('./my-exits.js', import.meta.url)`. */
  readonly module: URL;
  /** Handed to createExitHandler; must be structured-cloneable. */
  readonly data?: unknown;
  /** Pages of BAR0: 0..3. */
  readonly pages: readonly number[];
  /** Size of the words shared by both halves; 64 when left out. */
  readonly sharedWords?: number;
}

/** The main half's hold on its exit handler. */
export interface ExitsHandle {
  readonly shared: Int32Array;
}
