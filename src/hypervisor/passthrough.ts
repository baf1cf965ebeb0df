/**
 * One passed-through VF on the main thread: its domain, its BAR map and its policy, and the view of them that plugins are
 * handed. A plugin gets what a hypervisor has on silicon: RAM, registers, mappings, interrupts. The ground truth and the
 * card's shared words are not reachable from the view's type.
 */
import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../hardware/clock.js';
import { createDomainHandle } from '../hardware/iommu/domain.js';
import { DOMAIN_WORD, type DomainHandle } from '../hardware/iommu/handle.js';
import { RX, VF } from '../hardware/nic/offsets.js';
import { requesterOf } from '../hardware/pci/offsets.js';
import { PAGE_BYTES } from '../hardware/units.js';
import { SharedDirtyMap } from '../machine/dirty-map.js';
import { type MemoryLayout, SCRATCH_BYTES } from '../machine/layout.js';
import { BarMap, createBarMapBuffer } from './bar-map.js';
import { ExitPort } from './exit-hook.js';
import type { SlotHandle } from './guest-bus-view.js';
import { type GuestChannel, guestChannel } from './guest-channel.js';
import { GuestVfBar, type VfStatistics } from './guest-vf-bar.js';
import type { HotPlug, Hotplug } from './hotplug.js';
import type { InterruptRoute, InterruptTarget } from './interrupt-remap.js';
import type { Nic } from './nic.js';
import {
  barWindow,
  closeHandle,
  type GuestRam,
  guestRam,
  type PassthroughHandle,
} from './passthrough-core.js';
import { openPfWindow, type RegisterWindow } from './pf-window.js';
import { exportVfPolicy, importVfPolicy, type VfPolicy } from './vf-policy.js';

/** The module that opens a PassedThroughVf's `handle` in another thread: it exports openPassthrough and openCoreDevice. */
export const PASSTHROUGH_OPENER = new URL('./passthrough-core.js', import.meta.url);

/** Pauses before each further announcement, growing as QEMU's do. */
const ANNOUNCE_AGAIN_MS: readonly number[] = [50, 150, 250, 350];
const QUEUE_ENABLE = 1 << 25;

/** Pages that something marks; what a tracker's dirty map offers. */
export interface PageMarks {
  mark(page: number): void;
}

export interface IommuDirtyBits {
  setEnabled(on: boolean): void;
  /** Moves the bits set since the last call into `marks` and clears them. Returns how many there were. */
  collect(marks: PageMarks): number;
}

/** Hypervisor memory that the VF can reach and the guest cannot. */
export interface ScratchPages {
  readonly iova: number;
  readonly bytes: number;
  readonly i32: Int32Array;
}

export interface PassthroughOptions {
  readonly nic: Nic;
  readonly vf: number;
  readonly slot: number;
  readonly memory: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  /** This VF's share of the scratch pages: index of the first one and how many. */
  readonly scratchPage: number;
  readonly scratchPages: number;
  /** The IOMMU has dirty bits. */
  readonly iommuDirtyBits: boolean;
  /** Where its messages go. */
  readonly messages: InterruptTarget;
  /** The VM's: the VF can go and come. */
  readonly hotplug: Hotplug;
}

/** What plugins are handed. */
export interface VfPassthrough {
  readonly vf: number;
  readonly ram: GuestRam;
  readonly bar0: RegisterWindow;
  readonly bar3: RegisterWindow;
  readonly pf: RegisterWindow;
  readonly config: RegisterWindow;
  readonly pages: BarMap;
  readonly scratch: ScratchPages;
  readonly clock: Clock;
  readonly policy: {
    export(): VfPolicy;
    import(policy: unknown): void;
    whileSending<T>(action: () => Promise<T>): Promise<T>;
  };
  readonly statistics: { read(): VfStatistics; continueFrom(values: VfStatistics): void };
  readonly iommuDirty: IommuDirtyBits | null;
  /** An 82599 does nothing for its own migration. */
  readonly assist: null;
  readonly hotplug: HotPlug;
  readonly guest: GuestChannel;
  /** Sends message `vector` (0..2) of the VF's MSI-X table to the guest. */
  raiseInterrupt(vector: number): void;
  /** Tells the network where the VF's addresses are. */
  announce(): void;
}

export class PassedThroughVf {
  readonly nic: Nic;
  readonly vf: number;
  /** For the NIC and the verifier. */
  readonly domain: DomainHandle;
  readonly view: VfPassthrough;
  /** What the vCPU's thread needs. */
  readonly slot: SlotHandle;
  /** Installs who is told of the guest's writes to trapped pages. */
  readonly exits: ExitPort;
  /** What a tracker core's thread needs; passthrough-core.js opens it. */
  readonly handle: PassthroughHandle;
  readonly #layout: MemoryLayout;
  readonly #messages: InterruptTarget;
  #cancelAnnouncement: (() => void) | null = null;

  constructor(options: PassthroughOptions) {
    const { nic, vf, memory, layout } = options;
    this.nic = nic;
    this.vf = vf;
    this.#layout = layout;
    this.#messages = options.messages;
    const scratchOffset = layout.scratchOffset + options.scratchPage * PAGE_BYTES;
    const scratchBytes = options.scratchPages * PAGE_BYTES;
    this.domain = createDomainHandle(
      memory,
      [
        { iovaStart: 0, memoryOffset: 0, bytes: layout.ramBytes, writable: true },
        // identity too: above all RAM, so no buffer of the guest's can be meant
        { iovaStart: scratchOffset, memoryOffset: scratchOffset, bytes: scratchBytes, writable: true },
      ],
      { dirtyBits: options.iommuDirtyBits },
    );
    const barMap = createBarMapBuffer();
    const routes = [nic.hostRoute, this.#route()];
    const { port1, port2 } = new MessageChannel();
    this.exits = new ExitPort(port1, barMap);
    this.slot = { slot: options.slot, nic: nic.handle, vf, barMap, routes, exits: port2 };
    this.handle = closeHandle({ vf, nic: nic.handle, memory, ramBytes: layout.ramBytes, barMap, routes });
    const hotplug = options.hotplug.add(options.slot, {
      attach: () => this.attach(),
      detach: () => nic.detach(vf),
    });
    const scratch = {
      iova: scratchOffset,
      bytes: scratchBytes,
      i32: new Int32Array(memory, scratchOffset, scratchBytes >> 2),
    };
    this.view = this.#makeView(memory, barMap, scratch, hotplug);
  }

  attach(): Promise<void> {
    return this.nic.attach(this.vf, this.domain, this.#messages);
  }

  release(): Promise<void> {
    this.#cancelAnnouncement?.();
    this.exits.close();
    return this.nic.release(this.vf);
  }

  get faults(): { reads: number; writes: number } {
    const control = new Int32Array(this.domain.control);
    return { reads: control[DOMAIN_WORD.readFaults]!, writes: control[DOMAIN_WORD.writeFaults]! };
  }

  #route(): InterruptRoute {
    return { requester: requesterOf(this.vf), target: this.#messages };
  }

  /**
   * A frame of the source's that was still on its way reaches the switch after the announcement and takes the address
   * back to the old port: the network is told again, unless the guest has left here meanwhile (its queue is off).
   */
  #repeatAnnouncement(index: number): void {
    const afterMs = ANNOUNCE_AGAIN_MS[index];
    if (afterMs === undefined) return;
    this.#cancelAnnouncement = this.nic.threads.timers.after(afterMs, () => {
      if ((this.view.bar0.read32(VF.RX + RX.RXDCTL) & QUEUE_ENABLE) === 0) return;
      this.nic.announce(this.vf);
      this.#repeatAnnouncement(index + 1);
    });
  }

  #makeView(
    memory: SharedArrayBuffer,
    barMap: SharedArrayBuffer,
    scratch: ScratchPages,
    hotplug: HotPlug,
  ): VfPassthrough {
    const { nic, vf } = this;
    const bar = new GuestVfBar(nic.vfBar(vf), barMap);
    const config = nic.vfConfig(vf);
    const mailbox = {
      read: () => bar.read32(0, VF.MAILBOX),
      write: (value: number) => bar.write32(0, VF.MAILBOX, value),
    };
    return {
      vf,
      ram: guestRam(memory, this.#layout.ramBytes),
      bar0: barWindow(bar, 0),
      bar3: barWindow(bar, 3),
      pf: openPfWindow(nic.driver.bar, vf),
      // not the object itself: the card's shared words hang on it
      config: {
        read32: (offset) => config.read32(offset),
        write32: (offset, value) => config.write32(offset, value),
      },
      pages: new BarMap(barMap, nic.threads.wait),
      scratch,
      clock: nic.clock,
      policy: {
        export: () => {
          // a request that is under way gets its answer first, and the answer moves
          nic.serviceMailboxes();
          return exportVfPolicy(nic.driver, vf, mailbox);
        },
        import: (policy) => importVfPolicy(nic.driver, vf, policy, mailbox),
        whileSending: (action) => nic.driver.whileSending(vf, action),
      },
      statistics: { read: () => bar.statistics(), continueFrom: (values) => bar.continueFrom(values) },
      iommuDirty: dirtyBitsOf(this.domain, this.#layout),
      assist: null,
      hotplug,
      guest: guestChannel(nic, vf),
      raiseInterrupt: (vector) => nic.sendVfMessage(vf, vector),
      announce: () => {
        nic.announce(vf);
        this.#repeatAnnouncement(0);
      },
    };
  }
}

/** Null where the IOMMU has no dirty bits. */
export function dirtyBitsOf(domain: DomainHandle, layout: MemoryLayout): IommuDirtyBits | null {
  const { dirtyBits } = domain;
  if (dirtyBits === null) return null;
  const map = new SharedDirtyMap(dirtyBits, 0, layout.ramPages);
  const control = new Int32Array(domain.control);
  const found = new Uint8Array(layout.ramPages);
  return {
    setEnabled: (on) => {
      Atomics.store(control, DOMAIN_WORD.dirtyBitsOn, on ? 1 : 0);
    },
    collect: (marks) => {
      const pages = map.harvest(found);
      if (pages === 0) return 0;
      for (let page = 0; page < found.length; page++) if (found[page] !== 0) marks.mark(page);
      found.fill(0);
      return pages;
    },
  };
}

/** How the scratch pages are shared out among a VM's VFs. */
export function scratchShare(index: number, vfCount: number): { scratchPage: number; scratchPages: number } {
  const scratchPages = Math.floor(SCRATCH_BYTES / PAGE_BYTES / vfCount);
  return { scratchPage: index * scratchPages, scratchPages };
}
