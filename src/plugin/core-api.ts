/**
 * The half of a plugin that runs on the extra core: a module that exports `createCore`. The thread lives from the
 * start of pre-copy to its end; what it costs is accounted to the plugin.
 *
 *   loop:  [command words] -> step() -> [acknowledge a requested turn] -> sleep for idleNs()
 *
 * The same object is driven in one thread by the simulator and the conformance kit: keep no thread of your own, no
 * timers, no promises.
 */
import type { DeviceView, DirtyMarks } from './device-view.js';

export interface CoreView extends DeviceView {
  readonly dirty: DirtyMarks;
  /** Words that the plugin's main half sees as CoreHandle.shared. Use Atomics. */
  readonly shared: Int32Array;
  /** A sentence for the progress line and the report: something the user must know about the result's quality. */
  note(text: string): void;
}

export interface Core {
  /** One whole turn: a look at everything the core watches. Returns how much there was to do; 0 = nothing. */
  step(): number;
  /**
   * True after step(): the turn is not over, because the device has yet to answer. step() is called again soon, and
   * nobody who waits for a whole turn is told of one yet.
   */
  readonly turnOpen?: boolean;
  /** How long the next turn may be put off after step(), ns. 0 = come back at once. Without it: 100 us when idle. */
  idleNs?(): number;
  /** The core is about to end (not called when its thread had to be killed). */
  finish?(): void;
  /** What it counted so far; names end in their unit. Called between turns. */
  counters?(): Readonly<Record<string, number>>;
}

export type CreateCore = (view: CoreView, data: unknown) => Core;

/** What a tracker's module must export. */
export interface CoreModule {
  readonly createCore: CreateCore;
}

/** A tracker's wish for a core. */
export interface CoreRequest {
  /** Absolute file: URL of the module: `new URL('./my-core.js', import.meta.url)`. */
  readonly module: URL;
  /** Handed to createCore; must be structured-cloneable. */
  readonly data?: unknown;
  /** Size of the words shared by both halves; 64 when left out. */
  readonly sharedWords?: number;
}

/** The main half's hold on its core. */
export interface CoreHandle {
  readonly shared: Int32Array;
  /** Resolves after a turn that started after this call has ended. */
  turn(): Promise<void>;
}
