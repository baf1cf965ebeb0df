/**
 * query-migrate: QEMU's fields and units. Times in milliseconds, sizes in bytes, mbps in megabits a second.
 */
import { PAGE_BYTES } from '../hardware/units.js';
import type { QemuStatus } from './phases.js';

export interface RamStats {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  /** Zero pages. */
  readonly duplicate: number;
  /** Pages sent whole. */
  readonly normal: number;
  readonly 'normal-bytes': number;
  readonly 'dirty-pages-rate': number;
  readonly mbps: number;
  /** Times the dirty logs were harvested. */
  readonly 'dirty-sync-count': number;
  readonly 'page-size': number;
  readonly 'pages-per-second': number;
}

export interface MigrationInfo {
  readonly status: QemuStatus;
  readonly 'total-time'?: number;
  readonly 'setup-time'?: number;
  readonly 'expected-downtime'?: number;
  /** Once the migration is completed. */
  readonly downtime?: number;
  readonly 'cpu-throttle-percentage'?: number;
  readonly 'error-desc'?: string;
  readonly ram?: RamStats;
}

/** What the engine counts while it works; the other thread's counters are read when asked. */
export class MigrationStats {
  readonly ramBytes: number;
  startedAtNs = 0;
  endedAtNs = 0;
  setupMs = 0;
  expectedDowntimeMs = 0;
  downtimeMs: number | null = null;
  throttlePercent = 0;
  syncCount = 0;
  /** At the last harvest, and how many had been sent by then. */
  remainingPages = 0;
  sentPagesAtHarvest = 0;
  dirtyPagesPerSecond = 0;
  bytesPerSecond = 0;
  errorText = '';

  constructor(ramBytes: number) {
    this.ramBytes = ramBytes;
  }

  info(
    status: QemuStatus,
    nowNs: number,
    moved: { bytes: number; dataPages: number; zeroPages: number },
  ): MigrationInfo {
    if (status === 'none') return { status };
    const totalMs = ((this.endedAtNs || nowNs) - this.startedAtNs) / 1e6;
    const sentSince = moved.dataPages + moved.zeroPages - this.sentPagesAtHarvest;
    const finished = status === 'completed' || status === 'failed' || status === 'cancelled';
    return {
      status,
      'total-time': Math.round(totalMs),
      'setup-time': Math.round(this.setupMs),
      ...(finished ? {} : { 'expected-downtime': Math.round(this.expectedDowntimeMs) }),
      ...(this.downtimeMs === null ? {} : { downtime: Math.round(this.downtimeMs) }),
      ...(this.throttlePercent > 0 ? { 'cpu-throttle-percentage': this.throttlePercent } : {}),
      ...(this.errorText ? { 'error-desc': this.errorText } : {}),
      ram: {
        transferred: moved.bytes,
        remaining: status === 'completed' ? 0 : Math.max(this.remainingPages - sentSince, 0) * PAGE_BYTES,
        total: this.ramBytes,
        duplicate: moved.zeroPages,
        normal: moved.dataPages,
        'normal-bytes': moved.dataPages * PAGE_BYTES,
        'dirty-pages-rate': Math.round(this.dirtyPagesPerSecond),
        mbps: (this.bytesPerSecond * 8) / 1e6,
        'dirty-sync-count': this.syncCount,
        'page-size': PAGE_BYTES,
        'pages-per-second': Math.round(this.bytesPerSecond / PAGE_BYTES),
      },
    };
  }
}
