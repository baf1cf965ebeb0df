/**
 * One paravirtual NIC of a VM on the main thread: its registers, its record of what was written, its place in the driver
 * domain. The guest's accesses go past this class, in the vCPU's thread (guest-bus-view.ts).
 */
import { createDomainHandle } from '../hardware/iommu/domain.js';
import type { DomainHandle } from '../hardware/iommu/handle.js';
import { SharedDirtyMap } from '../machine/dirty-map.js';
import type { MemoryLayout } from '../machine/layout.js';
import { powerOn } from '../virtio/common-registers.js';
import { type NetState, restoreNetState, saveNetState } from '../virtio/device-state.js';
import {
  createDeviceWords,
  type DeviceStats,
  DeviceWords,
  type VirtioNetHandle,
  WORD,
} from '../virtio/device-words.js';
import { REQUESTER } from '../virtio/msix.js';
import { FEATURE } from '../virtio/spec.js';
import type { HotPlug, Hotplug } from './hotplug.js';
import type { InterruptRoute, InterruptTarget } from './interrupt-remap.js';
import { macHigh, macLow, macOfWords, parseMac } from './mac.js';
import type { NetServer } from './net-server.js';

const ETHERNET_HEADER_BYTES = 14;
/** Pauses before each further announcement, growing as QEMU's do. */
const ANNOUNCE_AGAIN_MS: readonly number[] = [50, 150, 250, 350];
const OFFERED =
  FEATURE.csum | FEATURE.guestCsum | FEATURE.mtu | FEATURE.mac | FEATURE.mergeableBuffers | FEATURE.status;

/** What a vCPU's thread needs of one paravirtual NIC. Structured-cloneable. */
export interface NetSlotHandle {
  readonly slot: number;
  readonly device: VirtioNetHandle;
  readonly routes: readonly InterruptRoute[];
  /** BAR0 is passed through: the guest's accesses to it are no exits. */
  readonly isDirect: boolean;
}

export interface ParavirtualNetOptions {
  readonly domain: NetServer;
  readonly mac: string;
  readonly slot: number;
  readonly memory: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  /** Where its messages go. */
  readonly messages: InterruptTarget;
  /** The VM's: the NIC can go and come. */
  readonly hotplug: Hotplug;
}

export class ParavirtualNet {
  readonly slot: NetSlotHandle;
  readonly server: NetServer;
  readonly handle: VirtioNetHandle;
  readonly hotplug: HotPlug;
  readonly #words: DeviceWords;
  readonly #log: SharedDirtyMap;
  readonly #messages: InterruptTarget;
  #device: number | null = null;
  #filtered: string | null = null;
  #cancelAnnouncement: (() => void) | null = null;

  constructor({ domain, mac, slot, memory, layout, messages, hotplug }: ParavirtualNetOptions) {
    this.server = domain;
    this.#messages = messages;
    this.handle = {
      words: createDeviceWords(),
      bell: domain.bell,
      domain: createDomainHandle(memory, [
        { iovaStart: 0, memoryOffset: 0, bytes: layout.ramBytes, writable: true },
      ]),
      log: new SharedArrayBuffer(layout.ramPages),
    };
    this.slot = {
      slot,
      device: this.handle,
      routes: [{ requester: REQUESTER, target: messages }],
      isDirect: domain.isDevice,
    };
    this.hotplug = hotplug.add(slot, {
      attach: () => this.#connect(true),
      detach: () => this.#connect(false),
    });
    this.#words = new DeviceWords(this.handle);
    this.#log = new SharedDirtyMap(this.handle.log, 0, layout.ramPages);
    const station = parseMac(mac);
    powerOn(this.#words, {
      macLow: macLow(station),
      macHigh: macHigh(station),
      mtu: domain.frameBytes - ETHERNET_HEADER_BYTES,
      features: OFFERED | (domain.offloads ?? 0),
    });
  }

  get mac(): string {
    return macOfWords(this.#words.get(WORD.macLow), this.#words.get(WORD.macHigh));
  }

  /** Guest RAM as the device reaches it; its truth is what the backend wrote. */
  get domain(): DomainHandle {
    return this.handle.domain;
  }

  get stats(): DeviceStats {
    return this.#words.stats();
  }

  /** @param serving false: the guest is still elsewhere */
  async attach(serving: boolean): Promise<void> {
    this.setReceiving(serving);
    this.#device = await this.server.attach(this.handle, this.#messages, serving);
  }

  /** Lets the wire's frames for this address come to the driver domain, or not: while a VF has the same address, say. */
  setReceiving(on: boolean): void {
    if (on && this.#filtered === null) {
      this.#filtered = this.mac;
      this.server.addAddress(this.#filtered);
    } else if (!on && this.#filtered !== null) {
      this.server.removeAddress(this.#filtered);
      this.#filtered = null;
    }
  }

  async #connect(on: boolean): Promise<void> {
    this.setReceiving(on);
    await this.serve(on);
  }

  /** Begins or ends to serve the queues. */
  async serve(on: boolean): Promise<void> {
    if (this.#device !== null) await this.server.serve(this.#device, on);
  }

  /** When it resolves, every page that the backend writes from now on is marked, or none is. */
  async setLogging(on: boolean): Promise<void> {
    this.#words.set(WORD.logging, on ? 1 : 0);
    await this.server.sync();
  }

  clearLog(): void {
    this.#log.harvest(new Uint8Array(this.#log.pages));
  }

  /** Moves the pages that were marked into `into` (one byte a page). Returns how many there were. */
  harvest(into: Uint8Array): number {
    return this.#log.harvest(into);
  }

  /** The vCPU stands still and the device is not served. */
  save(): NetState {
    return saveNetState(this.#words);
  }

  /** Takes a state over that is not trusted, the address with it. It is served from arrive() on. @throws NetStateError */
  restore(state: unknown): void {
    this.#words.locked(() => restoreNetState(this.#words, state));
  }

  /** The guest is this host's now: its queues are served, and the network learns where its address is. */
  async arrive(): Promise<void> {
    // first what cannot fail: the card's table of addresses may be full
    await this.serve(true);
    this.setReceiving(true);
    this.announce();
  }

  /** Tells the network where the address is, now and again for a while. */
  announce(): void {
    this.#cancelAnnouncement?.();
    this.#announce(0);
  }

  /** Again a few times: a frame of the source's that was still on its way may take the address back to the old port. */
  #announce(index: number): void {
    if (this.#filtered === null) return;
    this.server.announceAddress(this.#filtered);
    const afterMs = ANNOUNCE_AGAIN_MS[index];
    if (afterMs === undefined) return;
    this.#cancelAnnouncement = this.server.timers.after(afterMs, () => this.#announce(index + 1));
  }

  /** When it resolves, nothing of the VM's memory is touched. */
  async release(): Promise<void> {
    this.#cancelAnnouncement?.();
    this.setReceiving(false);
    const device = this.#device;
    this.#device = null;
    if (device !== null) await this.server.detach(device);
  }
}
