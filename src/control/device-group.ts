/**
 * Several devices of one VM as one: every step is taken on all of them, their states travel as one CBOR array. The first
 * that has a plugin speaks for all in the handshake and the report.
 */
import type {
  DeviceMigrator,
  HarvestReport,
  PluginIdentity,
  TrackerReport,
} from '../migration/device-migrator.js';
import { StreamFormatError } from '../migration/errors.js';
import { decodePlain, encodePlain } from './plain-cbor.js';

export class DeviceGroup implements DeviceMigrator {
  readonly identity: PluginIdentity | null;
  readonly #devices: readonly DeviceMigrator[];
  readonly #names: readonly string[];

  /** @param names what to call each in notes: `VF 0` */
  constructor(devices: readonly DeviceMigrator[], names: readonly string[]) {
    this.#devices = devices;
    this.#names = names;
    this.identity = devices.find(({ identity }) => identity !== null)?.identity ?? null;
  }

  prepare(): void {
    for (const device of this.#devices) device.prepare?.();
  }

  async start(): Promise<void> {
    await this.#all((device) => device.start());
  }

  async harvest(into: Uint8Array): Promise<HarvestReport> {
    const reports = await this.#all((device) => device.harvest(into));
    return {
      pages: reports.reduce((sum, report) => sum + report.pages, 0),
      notes: this.#notes(reports),
    };
  }

  async beforePause(): Promise<void> {
    await this.#all(async (device) => device.beforePause?.());
  }

  async quiesce(): Promise<void> {
    await this.#all((device) => device.quiesce());
  }

  async saveState(): Promise<Uint8Array> {
    return encodePlain(await this.#all((device) => device.saveState()));
  }

  async restoreState(state: Uint8Array): Promise<void> {
    const states: unknown = decodePlain(state);
    const fits =
      Array.isArray(states) &&
      states.length === this.#devices.length &&
      states.every((each) => each instanceof Uint8Array);
    if (!fits)
      throw new StreamFormatError(`device state: expected the states of ${this.#devices.length} devices`);
    await this.#all((device, index) => device.restoreState((states as Uint8Array[])[index]!));
  }

  async announce(): Promise<void> {
    await this.#all((device) => device.announce());
  }

  async rollback(): Promise<void> {
    await this.#all((device) => device.rollback());
  }

  async stop(): Promise<TrackerReport> {
    const reports = await this.#all((device) => device.stop());
    const counters: Record<string, number> = {};
    for (const report of reports) {
      for (const [name, value] of Object.entries(report.counters))
        counters[name] = (counters[name] ?? 0) + value;
    }
    return {
      ...reports[0]!,
      coreCpuNs: reports.reduce((sum, report) => sum + report.coreCpuNs, 0),
      coreAliveNs: Math.max(...reports.map((report) => report.coreAliveNs)),
      pagesMarked: reports.reduce((sum, report) => sum + report.pagesMarked, 0),
      counters,
      notes: this.#notes(reports),
    };
  }

  #notes(reports: readonly { readonly notes: readonly string[] }[]): string[] {
    return reports.flatMap(({ notes }, index) => notes.map((note) => `${this.#names[index]}: ${note}`));
  }

  /** Every device takes the step even if one of them fails; then the first failure is thrown. */
  async #all<T>(step: (device: DeviceMigrator, index: number) => Promise<T>): Promise<T[]> {
    const results = await Promise.allSettled(this.#devices.map((device, index) => step(device, index)));
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }
}
