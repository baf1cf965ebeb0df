/**
 * What the migration engine needs of a passed-through device: its DMA's dirty pages in pre-copy, and its state at the
 * switch. The plugin host implements this for plugins; the engine never sees a plugin.
 *
 *   source:       prepare -> start -> (harvest)* -> beforePause -> quiesce -> harvest -> saveState -> stop   (success)
 *                 any of them fails, or cancel:  rollback -> stop                         (VM goes on)
 *   destination:  restoreState (before the vCPU runs)
 */

export interface HarvestReport {
  /** Pages the tracker marked since the last harvest. */
  readonly pages: number;
  /** Sentences about uncertainty: "lapped: marked everything", for progress lines and the report. */
  readonly notes: readonly string[];
}

export interface TrackerReport {
  readonly plugin: string;
  readonly version: string;
  readonly options: Readonly<Record<string, string>>;
  /** Thread CPU seconds of the tracker core over its life; 0 when the plugin asked for no core. */
  readonly coreCpuNs: number;
  readonly coreAliveNs: number;
  readonly pagesMarked: number;
  /** Whatever the plugin counts: descriptors, looks, laps, ... names end in their unit. */
  readonly counters: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

export interface PluginIdentity {
  readonly name: string;
  readonly version: string;
  readonly options: Readonly<Record<string, string>>;
}

export interface DeviceMigrator {
  /** The plugin that the destination must have; null: none. */
  readonly identity: PluginIdentity | null;
  /**
   * A migration is about to begin: what takes time to get ready may be started, so that start() is quick. Nothing is tracked
   * or changed yet; what goes wrong, start() says. stop() undoes it.
   */
  prepare?(): void;
  /** Pre-copy begins. When it resolves, no DMA write from now on goes unmarked. */
  start(): Promise<void>;
  /** Adds the pages DMA wrote since the last harvest to `into` (one byte per 4 KiB page of guest RAM). */
  harvest(into: Uint8Array): Promise<HarvestReport>;
  /** The vCPU still runs, and is paused next: for what the guest itself has to do. Not called for a guest that stood. */
  beforePause?(): Promise<void>;
  /** The vCPU is paused. Stops the device's DMA and does the tracker's last pass; harvest once more afterwards. */
  quiesce(): Promise<void>;
  /** Device state, encoded by the plugin host (versioned, bounded). Only after quiesce(). */
  saveState(): Promise<Uint8Array>;
  /** Destination: bytes are hostile until decoded. Leaves the device ready, DMA on, interrupts pending as they were. */
  restoreState(state: Uint8Array): Promise<void>;
  /** After commitment, destination: tell the network (announcements). */
  announce(): Promise<void>;
  /** Source, before commitment: device goes on as if nothing had happened. Idempotent, legal in every state. */
  rollback(): Promise<void>;
  /** Ends the tracker core. Idempotent; never throws. */
  stop(): Promise<TrackerReport>;
}
