/**
 * When what happened in one migration on the source: rounds, phases, the parts of the stop. Feeds query-migrate and the
 * report.
 */
import type { Clock } from '../hardware/clock.js';
import type { PhaseName } from './phases.js';
import type { SourceVm } from './ports.js';
import { type DowntimeParts, emptyDowntimeParts, type MigrationReport, type RoundReport } from './report.js';
import type { RoundTraffic } from './source-stream.js';
import { MigrationStats } from './stats.js';
import type { VerifyVerdict } from './stream/records.js';

interface OpenRound {
  readonly round: number;
  readonly startedAtNs: number;
  readonly cpuOnly: number;
  readonly dmaOnly: number;
  readonly both: number;
  endedAtNs: number;
  traffic: RoundTraffic;
}

/** A round must move this much before its rate says something about the link. */
const RATE_BYTES = 1024 * 1024;

export class SourceTimeline {
  readonly stats: MigrationStats;
  readonly parts: DowntimeParts = emptyDowntimeParts();
  readonly rounds: RoundReport[] = [];
  verdict: VerifyVerdict | null = null;
  /** Of the last round that was large enough to tell; 0 before. */
  bytesPerMs = 0;
  readonly #clock: Clock;
  readonly #phases: { phase: PhaseName; atMs: number }[] = [];
  readonly #notes: string[] = [];
  #open: OpenRound | null = null;
  #lastHarvestNs = 0;
  #stoppedAtNs = 0;
  #runningAtNs = 0;

  constructor(vm: SourceVm, clock: Clock) {
    this.stats = new MigrationStats(vm.ramBytes);
    this.#clock = clock;
  }

  get downtimeStarted(): boolean {
    return this.#stoppedAtNs > 0;
  }

  start(): void {
    this.stats.startedAtNs = this.#clock.nowNs();
  }

  phase(phase: PhaseName): void {
    if (this.#phases.at(-1)?.phase !== phase) this.#phases.push({ phase, atMs: this.#sinceStartMs() });
  }

  setupDone(): void {
    this.stats.setupMs = this.#sinceStartMs();
    this.stats.remainingPages = this.stats.ramBytes / 4096;
    this.#lastHarvestNs = this.#clock.nowNs();
  }

  note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence);
  }

  /** Milliseconds that an action took. Bound, so that it can be taken out of the object. */
  readonly timed = async (action: () => Promise<void>): Promise<number> => {
    const before = this.#clock.nowNs();
    await action();
    return (this.#clock.nowNs() - before) / 1e6;
  };

  beginRound(round: number, due: { cpuOnly: number; dmaOnly: number; both: number }): void {
    const traffic = { dataPages: 0, zeroPages: 0, bytes: 0 };
    const { cpuOnly, dmaOnly, both } = due;
    this.#open = { round, startedAtNs: this.#clock.nowNs(), cpuOnly, dmaOnly, both, endedAtNs: 0, traffic };
  }

  roundSent(traffic: RoundTraffic): void {
    const open = this.#open!;
    open.traffic = traffic;
    open.endedAtNs = this.#clock.nowNs();
    const durationMs = (open.endedAtNs - open.startedAtNs) / 1e6;
    if (traffic.bytes >= RATE_BYTES || this.bytesPerMs === 0) {
      this.bytesPerMs = traffic.bytes / Math.max(durationMs, 1e-3);
      this.stats.bytesPerSecond = this.bytesPerMs * 1000;
    }
  }

  /** @param sentPages sent since the migration began */
  harvested(pages: number, sentPages: number): void {
    const now = this.#clock.nowNs();
    const seconds = Math.max((now - this.#lastHarvestNs) / 1e9, 1e-6);
    this.#lastHarvestNs = now;
    this.stats.syncCount++;
    this.stats.remainingPages = pages;
    this.stats.sentPagesAtHarvest = sentPages;
    this.stats.dirtyPagesPerSecond = pages / seconds;
  }

  endRound(
    next: { pages: number; notes: readonly string[] },
    expectedDowntimeMs: number,
    guestStopped = false,
  ): RoundReport {
    const open = this.#open!;
    const durationMs = (open.endedAtNs - open.startedAtNs) / 1e6;
    const report: RoundReport = {
      round: open.round,
      guestStopped,
      startedAtMs: (open.startedAtNs - this.stats.startedAtNs) / 1e6,
      durationMs,
      dirtiedByCpu: open.cpuOnly,
      dirtiedByDma: open.dmaOnly,
      dirtiedByBoth: open.both,
      ...open.traffic,
      bytesPerSecond: (open.traffic.bytes / Math.max(durationMs, 1e-3)) * 1000,
      expectedDowntimeMs,
      throttlePercent: this.stats.throttlePercent,
      notes: next.notes,
    };
    this.rounds.push(report);
    for (const sentence of next.notes) this.note(sentence);
    return report;
  }

  stopped(): void {
    this.#stoppedAtNs = this.#clock.nowNs();
  }

  runsThere(): void {
    this.#runningAtNs = this.#clock.nowNs();
    this.stats.downtimeMs = (this.#runningAtNs - this.#stoppedAtNs) / 1e6;
  }

  end(): void {
    this.stats.endedAtNs = this.#clock.nowNs();
  }

  failed(error: Error): void {
    this.stats.errorText = error.message;
    this.end();
  }

  summary(): Pick<
    MigrationReport,
    | 'startedAtNs'
    | 'totalMs'
    | 'setupMs'
    | 'downtimeMs'
    | 'downtimeParts'
    | 'stoppedAtMs'
    | 'runningAtMs'
    | 'phases'
    | 'rounds'
    | 'verdict'
    | 'notes'
  > {
    const { startedAtNs, endedAtNs } = this.stats;
    const at = (ns: number): number | null => (ns === 0 ? null : (ns - startedAtNs) / 1e6);
    return {
      startedAtNs,
      totalMs: (endedAtNs - startedAtNs) / 1e6,
      setupMs: this.stats.setupMs,
      downtimeMs: this.stats.downtimeMs,
      downtimeParts: this.parts,
      stoppedAtMs: at(this.#stoppedAtNs),
      runningAtMs: at(this.#runningAtNs),
      phases: this.#phases,
      rounds: this.rounds,
      verdict: this.verdict,
      notes: this.#notes,
    };
  }

  #sinceStartMs(): number {
    return (this.#clock.nowNs() - this.stats.startedAtNs) / 1e6;
  }
}
