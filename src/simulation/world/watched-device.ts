/**
 * The plugin's side of a migration with a door in front of it: what the engine asks of the device is told on the way, so that
 * promises and coverage know where a migration stands.
 */
import type {
  DeviceMigrator,
  HarvestReport,
  PluginIdentity,
  TrackerReport,
} from '../../migration/device-migrator.js';

export interface DeviceWatcher {
  /** It is asked which plugin it is. */
  identified(): void;
  /** From now on no DMA write may go unmarked. */
  started(): void;
  harvestBegins(): void;
  /** Marks of one harvest, one byte per page. */
  harvested(marks: Uint8Array, report: HarvestReport): void;
  /** Everything from here on may be written again: the migration was called off. */
  rollingBack(): void;
  quiesced(): void;
  stopped(report: TrackerReport): void;
}

export class WatchedDevice implements DeviceMigrator {
  readonly #inner: DeviceMigrator;
  readonly #watcher: DeviceWatcher;

  constructor(inner: DeviceMigrator, watcher: DeviceWatcher) {
    this.#inner = inner;
    this.#watcher = watcher;
  }

  get identity(): PluginIdentity | null {
    this.#watcher.identified();
    return this.#inner.identity;
  }

  prepare(): void {
    this.#inner.prepare?.();
  }

  async start(): Promise<void> {
    await this.#inner.start();
    this.#watcher.started();
  }

  async harvest(into: Uint8Array): Promise<HarvestReport> {
    this.#watcher.harvestBegins();
    const report = await this.#inner.harvest(into);
    this.#watcher.harvested(into, report);
    return report;
  }

  async quiesce(): Promise<void> {
    await this.#inner.quiesce();
    this.#watcher.quiesced();
  }

  saveState(): Promise<Uint8Array> {
    return this.#inner.saveState();
  }

  restoreState(state: Uint8Array): Promise<void> {
    return this.#inner.restoreState(state);
  }

  announce(): Promise<void> {
    return this.#inner.announce();
  }

  rollback(): Promise<void> {
    this.#watcher.rollingBack();
    return this.#inner.rollback();
  }

  async stop(): Promise<TrackerReport> {
    const report = await this.#inner.stop();
    this.#watcher.stopped(report);
    return report;
  }
}
