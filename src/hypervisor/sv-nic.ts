/**
 * A self-virtualizing device, as the main thread holds it: cores of its own that serve virtual interfaces (VIFs), and the
 * management interface for them. A guest reaches its VIF by rings and doorbell and is signalled by the device's cores: nobody
 * of the host is on a packet's way.
 *
 *   open -> createVif -> (a VM's paravirtual NIC attaches) -> setVif, listVifs, stats ... -> removeVif -> close
 *
 *   wire --- core 0 ---+--- VIF   VIF          a VIF's frames are taken by its own core; frames for it are put into its
 *            core 1 ---+--- VIF                rings by whichever core has them
 */
import { realTimers, type TimerClock } from '../hardware/clock.js';
import { createSharedCable } from '../hardware/wire/shared-cable.js';
import {
  createVifWords,
  DEFAULT_FILTERS,
  type VifCounts,
  VifError,
  type VifFilters,
  VifWords,
} from '../virtio/device-cores/vif-words.js';
import { type DeviceStats, DeviceWords, type VirtioNetHandle } from '../virtio/device-words.js';
import type { InterruptTarget } from './interrupt-remap.js';
import { parseMac } from './mac.js';
import type { NetServer } from './net-server.js';
import { NicError } from './nic.js';
import type { WireSpec } from './nic-messages.js';
import { announcement } from './pf-announcer.js';
import type { SvNicCommand, SvNicCoreStats } from './sv-nic-messages.js';
import { SvNicWorker } from './sv-nic-worker.js';

export { DEFAULT_FILTERS, VifError, type VifFilters } from '../virtio/device-cores/vif-words.js';

export const MAX_CORES = 8;
export const MAX_VIFS = 64;
/** 1500 bytes of payload, Ethernet's header, a VLAN tag. */
const DEFAULT_FRAME_BYTES = 1518;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

export interface SvNicOptions {
  readonly wire: WireSpec;
  /** 1 to MAX_CORES. Default 1. */
  readonly cores?: number;
  /** Longest frame without its checksum, a VLAN tag included. */
  readonly frameBytes?: number;
  readonly onFailure?: (error: NicError) => void;
}

export interface VifSettings {
  /** 0: unlimited. */
  readonly rateMbps: number;
  readonly filters: VifFilters;
}

export interface VifRequest extends Partial<VifSettings> {
  readonly name: string;
  readonly mac: string;
}

export interface VifInfo extends VifSettings {
  readonly name: string;
  readonly mac: string;
  /** The core that takes what it sends. */
  readonly core: number;
  /** A guest has it. */
  readonly attached: boolean;
  /** Its guest runs here: its queues are served. */
  readonly serving: boolean;
  readonly counts: VifCounts;
  /** Null while no guest has it. */
  readonly stats: DeviceStats | null;
}

/** A virtual interface. A VM's paravirtual NIC attaches to it as to any server of its queues. */
export class Vif implements NetServer {
  readonly isDevice = true;
  readonly name: string;
  readonly core: number;
  readonly bell: SharedArrayBuffer;
  readonly frameBytes: number;
  readonly device: SvNic;
  readonly words: VifWords;
  readonly #buffer = createVifWords();
  #mac: string;
  #attached: { readonly device: number; readonly stats: DeviceWords } | null = null;

  /** Use SvNic.createVif. */
  constructor(device: SvNic, request: VifRequest, core: number, bell: SharedArrayBuffer) {
    this.device = device;
    this.name = request.name;
    this.#mac = request.mac;
    this.core = core;
    this.bell = bell;
    this.frameBytes = device.frameBytes;
    this.words = new VifWords(this.#buffer);
    this.words.isHere = false;
    this.configure({ filters: DEFAULT_FILTERS, ...request });
  }

  get mac(): string {
    return this.#mac;
  }

  /** A guest that arrives brings its address. @throws VifError when another VIF of the device has it */
  adoptAddress(mac: string): void {
    this.device.checkAddress(parseMac(mac), this);
    this.#mac = parseMac(mac);
  }

  /** @throws VifError, and nothing is changed */
  configure(change: Partial<VifSettings>): void {
    const before = this.words.rateMbps;
    if (change.rateMbps !== undefined) this.words.rateMbps = change.rateMbps;
    try {
      if (change.filters !== undefined) this.words.filters = change.filters;
    } catch (error) {
      this.words.rateMbps = before;
      throw error;
    }
  }

  get settings(): VifSettings {
    return { rateMbps: this.words.rateMbps, filters: this.words.filters };
  }

  get isAttached(): boolean {
    return this.#attached !== null;
  }

  info(): VifInfo {
    return {
      name: this.name,
      mac: this.mac,
      core: this.core,
      attached: this.isAttached,
      serving: this.words.isHere,
      ...this.settings,
      counts: this.words.counts(),
      stats: this.#attached?.stats.stats() ?? null,
    };
  }

  // --- for the NIC of a VM --------------------------------------------------------------------------------------------

  /** The device finds its VIFs by their own addresses. */
  addAddress(): void {}

  removeAddress(): void {}

  async attach(handle: VirtioNetHandle, target: InterruptTarget, serving: boolean): Promise<number> {
    if (this.isAttached) throw new VifError(`VIF ${this.name} has a guest already`);
    const device = this.device.nextDevice();
    this.#attached = { device, stats: new DeviceWords(handle) };
    this.words.isHere = serving;
    await this.device.askAll((id) => ({
      kind: 'attach',
      id,
      device,
      handle,
      vif: this.#buffer,
      target,
      serving,
      core: this.core,
    }));
    return device;
  }

  async detach(device: number): Promise<void> {
    this.words.isHere = false;
    this.#attached = null;
    if (!this.device.isClosed) await this.device.askAll((id) => ({ kind: 'detach', id, device }));
  }

  async serve(device: number, on: boolean): Promise<void> {
    this.words.isHere = on;
    await this.device.askAll((id) => ({ kind: 'serve', id, device, on }));
  }

  async sync(): Promise<void> {
    await this.device.askAll((id) => ({ kind: 'sync', id }));
  }

  announceAddress(mac: string): void {
    const frame = Uint8Array.from({ length: 60 });
    frame.set(announcement(mac, 0));
    this.device.send(frame);
  }

  get timers(): TimerClock {
    return realTimers;
  }
}

export class SvNic {
  readonly frameBytes: number;
  readonly #cores: readonly SvNicWorker[];
  readonly #vifs = new Map<string, Vif>();
  #lastDevice = 0;
  #closing: Promise<void> | null = null;

  /** @throws NicError when a core or the wire does not come up */
  static async open(options: SvNicOptions): Promise<SvNic> {
    const device = new SvNic(options);
    try {
      await Promise.all(device.#cores.map((core) => core.dialogue.ready));
    } catch (error) {
      await device.close();
      throw error;
    }
    return device;
  }

  private constructor({ wire, cores = 1, frameBytes = DEFAULT_FRAME_BYTES, onFailure }: SvNicOptions) {
    if (!(Number.isInteger(cores) && cores >= 1 && cores <= MAX_CORES))
      throw new NicError(`${cores} cores: a self-virtualizing device has 1 to ${MAX_CORES}`);
    this.frameBytes = frameBytes;
    const ways = Array.from({ length: cores - 1 }, () => createSharedCable());
    const failed = (error: NicError): void => {
      if (this.#closing === null) onFailure?.(error);
    };
    this.#cores = Array.from({ length: cores }, (_, core) => {
      const port = core === 0 ? { wire, cores: ways.map(([near]) => near) } : ways[core - 1]![1];
      return new SvNicWorker({ core, frameBytes, port }, failed);
    });
  }

  // --- management -----------------------------------------------------------------------------------------------------

  get cores(): number {
    return this.#cores.length;
  }

  /** On the core that has the fewest VIFs. @throws VifError */
  createVif(request: VifRequest): Vif {
    const mac = parseMac(request.mac);
    if (!NAME.test(request.name))
      throw new VifError(`'${request.name}' is no name of a VIF: letters, digits and . _ -, at most 32`);
    if (this.#vifs.has(request.name)) throw new VifError(`VIF ${request.name} is there already`);
    if (this.#vifs.size >= MAX_VIFS) throw new VifError(`the device has ${MAX_VIFS} VIFs already`);
    this.checkAddress(mac, null);
    const load = this.#cores.map(
      (_, core) => [...this.#vifs.values()].filter((vif) => vif.core === core).length,
    );
    const core = load.indexOf(Math.min(...load));
    const vif = new Vif(this, { ...request, mac }, core, this.#cores[core]!.bell);
    this.#vifs.set(vif.name, vif);
    return vif;
  }

  /** @throws VifError when there is none of that name */
  vif(name: string): Vif {
    const vif = this.#vifs.get(name);
    if (vif === undefined) throw new VifError(`there is no VIF ${name} here (srvm vif list)`);
    return vif;
  }

  /** @throws VifError while a guest has it */
  removeVif(name: string): void {
    if (this.vif(name).isAttached) throw new VifError(`VIF ${name} has a guest: end or migrate that first`);
    this.#vifs.delete(name);
  }

  /** Rate and filters, at once. @throws VifError, and nothing is changed */
  setVif(name: string, change: Partial<VifSettings>): VifInfo {
    const vif = this.vif(name);
    vif.configure(change);
    return vif.info();
  }

  listVifs(): readonly VifInfo[] {
    return [...this.#vifs.values()].map((vif) => vif.info());
  }

  stats(): Promise<readonly SvNicCoreStats[]> {
    return Promise.all(this.#cores.map((core) => core.dialogue.stats()));
  }

  /** Ends the cores and closes the wire. Idempotent. Guests must have let go of their VIFs. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  // --- for its VIFs ---------------------------------------------------------------------------------------------------

  get isClosed(): boolean {
    return this.#closing !== null;
  }

  /** @throws VifError when a VIF other than `asking` has it */
  checkAddress(mac: string, asking: Vif | null): void {
    for (const vif of this.#vifs.values()) {
      if (vif !== asking && vif.mac === mac)
        throw new VifError(`VIF ${vif.name} has the address ${mac} already`);
    }
  }

  nextDevice(): number {
    return ++this.#lastDevice;
  }

  /** Resolves when every core has done it. */
  async askAll(command: (id: number) => SvNicCommand): Promise<void> {
    await Promise.all(this.#cores.map((core) => core.dialogue.ask(command)));
  }

  /** Sends a frame of the host's own. */
  send(frame: Uint8Array): void {
    if (this.isClosed) return;
    this.#cores[0]!.dialogue.ask((id) => ({ kind: 'send', id, frame })).catch(() => {});
  }

  async #end(): Promise<void> {
    await Promise.all(this.#cores.map((core) => core.dialogue.stop()));
  }
}
