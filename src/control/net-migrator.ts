/**
 * A paravirtual NIC on its way: no plugin has a part in it, because the backend that writes the guest's memory says itself
 * which pages it wrote. So a VM with such NICs alone migrates without any plugin.
 *
 *   source:       start (logging on) -> harvest ... -> quiesce (not served any more) -> harvest -> saveState
 *   destination:  restoreState -> (the VM is this host's) -> announce: served, its address told to the network
 */
import type { ParavirtualNet } from '../hypervisor/paravirtual-net.js';
import type { DeviceMigrator, HarvestReport, TrackerReport } from '../migration/device-migrator.js';
import { decodePlain, encodePlain } from './plain-cbor.js';

export class NetMigrator implements DeviceMigrator {
  /** Nothing has to be at the destination but the device itself. */
  readonly identity = null;
  readonly #net: ParavirtualNet;
  readonly #beganMs = performance.now();
  #pages = 0;
  #changed = false;

  constructor(net: ParavirtualNet) {
    this.#net = net;
  }

  async start(): Promise<void> {
    this.#changed = true;
    this.#net.clearLog();
    await this.#net.setLogging(true);
  }

  async harvest(into: Uint8Array): Promise<HarvestReport> {
    const pages = this.#net.harvest(into);
    this.#pages += pages;
    return { pages, notes: [] };
  }

  async quiesce(): Promise<void> {
    this.#changed = true;
    await this.#net.serve(false);
  }

  async saveState(): Promise<Uint8Array> {
    return encodePlain(this.#net.save());
  }

  async restoreState(state: Uint8Array): Promise<void> {
    this.#net.restore(decodePlain(state));
  }

  async announce(): Promise<void> {
    await this.#net.arrive();
  }

  async rollback(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    await this.#net.setLogging(false);
    await this.#net.serve(true);
  }

  async stop(): Promise<TrackerReport> {
    const counters = Object.fromEntries(Object.entries(this.#net.stats));
    return {
      plugin: 'virtio-net',
      version: '1',
      options: {},
      // the backend that marks is the one that works anyway
      coreCpuNs: 0,
      coreAliveNs: (performance.now() - this.#beganMs) * 1e6,
      pagesMarked: this.#pages,
      counters,
      notes: [],
    };
  }
}
