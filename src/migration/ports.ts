/**
 * What the migration engine needs of the two VMs and of the world: small interfaces, so that a real VirtualMachine (by
 * an adapter), a fake guest in a test, and the simulator can all stand behind them.
 */
import type { DeviceMigrator } from './device-migrator.js';
import type { Offer } from './stream/records.js';

export type { TimerClock } from '../hardware/clock.js';

/** Which pages DMA really wrote. For the verifier: no tracker can reach it. */
export interface GroundTruth {
  /** Moves every page written since the last call into `into` (one byte per page of RAM). Returns how many. */
  drain(into: Uint8Array): number;
}

/** The guest memory that both ends copy: shared, page frame n at byte n * 4096. */
export interface GuestRam {
  readonly memory: WebAssembly.Memory;
  /** RAM only; the VMM area behind it is not migrated. */
  readonly ramBytes: number;
}

export interface SourceVm extends GuestRam {
  /** What the destination must match or be able to build; checked there before a page is sent. */
  readonly offer: Omit<Offer, 'protocol' | 'plugin' | 'verify' | 'startRunning'>;
  /** Whether the guest executes now; a VM that was paused arrives paused. */
  readonly isRunning: boolean;
  /** Resolves when the vCPU stands at a safe point. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Works on a running and on a paused VM. */
  useBuild(build: 'plain' | 'logging'): Promise<void>;
  /** Moves the vCPU's dirty log into `into` (one byte per page of RAM). Returns how many pages were marked. */
  harvestCpuDirty(into: Uint8Array): number;
  /** Percent of its time taken from the vCPU, 0..99. */
  setThrottle(percent: number): void;
  /** vCPU, interrupts and clock, encoded. Only while paused. */
  saveVmState(): Promise<Uint8Array>;
  /** Null where nothing records it. */
  readonly groundTruth: GroundTruth | null;
  /** The destination owns the VM now (or may own it): this one never runs again. */
  retire(outcome: 'postmigrate' | 'outcome-unknown'): void;
}

export interface DestinationVm extends GuestRam {
  readonly device: DeviceMigrator | null;
  /** The bytes are hostile until decoded. */
  restoreVmState(state: Uint8Array): Promise<void>;
  /** The first guest instruction at this end. */
  resume(): Promise<void>;
  /** Releases everything. Idempotent. */
  destroy(): Promise<void>;
}

/** A place kept for a VM that is on its way. Pages may arrive while the rest is still being prepared. */
export interface Reservation extends GuestRam {
  /** The VM, its image compiled and its VF attached, so that the switch is only state and resume. */
  readonly prepared: Promise<DestinationVm>;
  /** Gives everything back, the VM included if it was made. Idempotent. */
  release(): Promise<void>;
}

export interface DestinationHost {
  /** Checks the offer and keeps a place. Throws MigrationRefusedError with the reason. RAM is all zero. */
  reserve(offer: Offer): Promise<Reservation>;
}
