/**
 * The report of one migration: what happened, round by round, and what the stop was made of. Its schema is versioned;
 * fields are added, never changed. Times in milliseconds from the migration's start.
 */
import type { TrackerReport } from './device-migrator.js';
import type { PhaseName, Recovery } from './phases.js';
import type { VerifyVerdict } from './stream/records.js';
import type { DmaCoverage } from './verify.js';

export const REPORT_SCHEMA_VERSION = 1;

export interface RoundReport {
  /** 1 is the first; the last one is sent while the guest stands still. */
  readonly round: number;
  readonly guestStopped: boolean;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Pages due in this round by who dirtied them since the harvest before; the first round takes all pages. */
  readonly dirtiedByCpu: number;
  readonly dirtiedByDma: number;
  readonly dirtiedByBoth: number;
  readonly dataPages: number;
  readonly zeroPages: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** What stopping after this round was expected to cost; 0 for the last. */
  readonly expectedDowntimeMs: number;
  readonly throttlePercent: number;
  readonly notes: readonly string[];
}

/** The stop, part by part. Parts overlap where the engine overlaps them, so the whole is less than their sum. */
export interface DowntimeParts {
  /** What the method had the guest do before its vCPU was paused: before the downtime as the engine counts it. */
  beforePauseMs: number;
  pauseVcpuMs: number;
  quiesceMs: number;
  lastHarvestMs: number;
  lastPagesMs: number;
  vmSaveMs: number;
  deviceSaveMs: number;
  /** --verify only: hashing at the source, comparing at the destination. */
  verifyMs: number;
  /** From the end of sending to the destination's READY: its restoring and the way. */
  untilReadyMs: number;
  /** As the destination measured: waiting for its VM to be built, restoring vCPU and device. */
  prepareWaitMs: number;
  restoreMs: number;
  /** From COMMIT to RUNNING, and the part of it that the destination needed to resume the guest. */
  commitMs: number;
  activateMs: number;
}

export interface MigrationReport {
  readonly schemaVersion: typeof REPORT_SCHEMA_VERSION;
  readonly vm: string;
  readonly image: string;
  readonly ramBytes: number;
  readonly outcome: 'completed' | 'failed' | 'cancelled' | 'outcome-unknown';
  readonly error: string | null;
  /** Where it failed and how the VM was recovered. */
  readonly failedDuring: PhaseName | null;
  readonly recovery: Recovery | null;
  /** The source's monotonic clock at the start, so that other timelines can be laid beside this one. */
  readonly startedAtNs: number;
  readonly totalMs: number;
  readonly setupMs: number;
  /** From asking the vCPU to pause to hearing that the guest runs at the destination; null when it never stopped. */
  readonly downtimeMs: number | null;
  readonly downtimeParts: DowntimeParts;
  readonly stoppedAtMs: number | null;
  readonly runningAtMs: number | null;
  readonly phases: readonly { readonly phase: PhaseName; readonly atMs: number }[];
  readonly rounds: readonly RoundReport[];
  readonly bytes: number;
  /** CPU that copying and sending took on its own core; null where it had none. */
  readonly senderCpuNs: number | null;
  readonly tracker: TrackerReport | null;
  readonly verdict: VerifyVerdict | null;
  readonly dmaCoverage: DmaCoverage | null;
  /** What is worth a sentence: laps, forced stops, trouble while recovering. */
  readonly notes: readonly string[];
}

export const emptyDowntimeParts = (): DowntimeParts => ({
  beforePauseMs: 0,
  pauseVcpuMs: 0,
  quiesceMs: 0,
  lastHarvestMs: 0,
  lastPagesMs: 0,
  vmSaveMs: 0,
  deviceSaveMs: 0,
  verifyMs: 0,
  untilReadyMs: 0,
  prepareWaitMs: 0,
  restoreMs: 0,
  commitMs: 0,
  activateMs: 0,
});
