/**
 * A whole host in one thread for one VM with one VF: the card, its engine, its PF driver, guest memory, the guest's accesses
 * through the BAR map, and the hypervisor's view of them that a plugin gets. Nothing moves unless it is stepped.
 *
 *   peer == cable == engine -- domain -- memory        guest -- BarAccess -- BarMap -- VfBar -- card
 */
import { MessageChannel } from 'node:worker_threads';
import { blockThread, type Clock } from '../../hardware/clock.js';
import { createDomainHandle } from '../../hardware/iommu/domain.js';
import type { DomainHandle } from '../../hardware/iommu/handle.js';
import { NicEngine } from '../../hardware/nic/engine.js';
import { PfBar } from '../../hardware/nic/pf-bar.js';
import { createNicHandle } from '../../hardware/nic/reset.js';
import { NicShared } from '../../hardware/nic/shared.js';
import { VfBar } from '../../hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../hardware/pci/config-space.js';
import type { MsiSink } from '../../hardware/pci/msi.js';
import { PCI, PF_FUNCTION } from '../../hardware/pci/offsets.js';
import { createCable } from '../../hardware/wire/cable.js';
import type { Wire } from '../../hardware/wire/wire.js';
import { BarAccess } from '../../hypervisor/bar-access.js';
import { BAR_WORD, BarMap, createBarMapBuffer, MODE } from '../../hypervisor/bar-map.js';
import { ExitHook, ExitPort } from '../../hypervisor/exit-hook.js';
import { GuestVfBar } from '../../hypervisor/guest-vf-bar.js';
import { realThreads } from '../../hypervisor/host-threads.js';
import { Hotplug } from '../../hypervisor/hotplug.js';
import { HotplugRegisters } from '../../hypervisor/hotplug-registers.js';
import { dirtyBitsOf } from '../../hypervisor/passthrough.js';
import { PfDriver } from '../../hypervisor/pf-driver.js';
import { exportVfPolicy, importVfPolicy } from '../../hypervisor/vf-policy.js';
import { API, LONGEST_FRAME_BYTES } from '../../hypervisor/vf-record.js';
import { CONTROL_BYTES, CTRL, layoutFor, type MemoryLayout, SCRATCH_BYTES } from '../../machine/layout.js';
import type { DeviceAccess, DeviceParts } from '../device-access.js';
import { type ExitStart, openExits } from '../exit-entry.js';
import { REG } from '../vf82599/registers.js';
import { assistOf } from './assisted-device.js';
import { TestClock } from './test-clock.js';

export const TEST_RAM_BYTES = 16 * 1024 * 1024;
export const TEST_MAC = '52:54:00:00:00:01';
const VF = 0;
/** Of the VF, on the guest's bus. */
export const TEST_SLOT = 1;
const NOTHING = 0xffff_ffff;
const FUNCTION_LEVEL_RESET = 1 << 15;

export interface TestHostOptions {
  /** No address and not admitted yet: a destination, which learns both from the state. */
  readonly incoming?: boolean;
  /** The IOMMU keeps dirty bits. */
  readonly iommuDirtyBits?: boolean;
  /** The device helps with its own migration. */
  readonly assist?: boolean;
}

export class TestHost {
  readonly clock = new TestClock();
  readonly layout: MemoryLayout = layoutFor(TEST_RAM_BYTES);
  readonly memory = new SharedArrayBuffer(this.layout.totalBytes);
  readonly ram = new Uint8Array(this.memory, 0, TEST_RAM_BYTES);
  readonly words = new Int32Array(this.memory, 0, TEST_RAM_BYTES / 4);
  readonly engine: NicEngine;
  readonly peer: Wire;
  readonly driver: PfDriver;
  readonly access: DeviceAccess;
  /** MSI-X messages of the VF by vector data. */
  readonly interrupts = new Map<number, number>();
  announcements = 0;
  /** Called while the guest waits for a turn of whoever serves its shadow pages. */
  onGuestWaits: (() => void) | null = null;
  /** The guest's half of a method that needs its help: answers what the plugin asks through GuestChannel.request. */
  onGuestRequest: ((words: readonly number[]) => readonly number[]) | null = null;
  /** Called before each register read of the plugin's: the world does not stand still while a core looks around. */
  beforeRead: (() => void) | null = null;
  readonly #domain: DomainHandle;
  readonly #truth: Uint8Array;
  readonly #bar0: BarAccess;
  readonly #exits: ExitPort;
  readonly #barMap: BarMap;
  readonly #config: ConfigSpace;
  readonly #control: Int32Array;
  readonly #bridge: HotplugRegisters;
  readonly #hotplug: Hotplug;
  readonly #guestBar: GuestVfBar;

  constructor(options: TestHostOptions = {}) {
    const { layout } = this;
    const clock: Clock = this.clock;
    const shared = new NicShared(createNicHandle(2));
    const msi: MsiSink = {
      deliver: (requester, _low, _high, data) => {
        if (requester === 1 + VF) this.interrupts.set(data, (this.interrupts.get(data) ?? 0) + 1);
      },
    };
    const pfBar = new PfBar(shared, msi, clock);
    this.driver = new PfDriver(pfBar, new ConfigSpace(shared, PF_FUNCTION, msi, clock), {
      vfCount: 2,
      mac: '52:54:00:00:00:f0',
      maxFrameBytes: LONGEST_FRAME_BYTES,
      linkSpeedMbps: 10_000,
      msiAddress: 0xfee0_0000,
    });
    this.driver.bringUp();
    if (!options.incoming) {
      this.driver.assignMac(VF, TEST_MAC, true);
      this.#admitVf();
    }
    const [near, far] = createCable();
    this.peer = far;
    this.engine = new NicEngine({ shared, wire: near, msi, clock });
    const { ramBytes, scratchOffset } = layout;
    this.#domain = createDomainHandle(
      this.memory,
      [
        { iovaStart: 0, memoryOffset: 0, bytes: ramBytes, writable: true },
        { iovaStart: scratchOffset, memoryOffset: scratchOffset, bytes: SCRATCH_BYTES, writable: true },
      ],
      { dirtyBits: options.iommuDirtyBits === true || options.assist === true },
    );
    this.#truth = new Uint8Array(this.#domain.truth, 0, layout.ramPages);
    this.engine.attach(VF, this.#domain);
    this.#config = new ConfigSpace(shared, VF, msi, clock);
    const barMapBuffer = createBarMapBuffer();
    this.#barMap = new BarMap(barMapBuffer);
    this.#guestBar = new GuestVfBar(new VfBar(shared, VF, msi, clock), barMapBuffer);
    const control = new Int32Array(this.memory, layout.controlOffset, CONTROL_BYTES / 4);
    const { port1, port2 } = new MessageChannel();
    this.#exits = new ExitPort(port1, barMapBuffer);
    const exits = new ExitHook(port2, barMapBuffer, ({ start }) =>
      openExits(start as ExitStart, this.access.parts),
    );
    this.#bar0 = new BarAccess(barMapBuffer, this.#guestBar, control, blockThread, exits);
    this.#control = control;
    this.#hotplug = new Hotplug({ control, timers: this.clock, whenChanged: realThreads.whenChanged }, true);
    this.#bridge = new HotplugRegisters(
      control,
      () => 1 << TEST_SLOT,
      () => this.#config.write32(PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET),
    );
    this.access = this.#accessOf(pfBar, options.assist === true);
  }

  // --- the guest ------------------------------------------------------------------------------------------------------

  guestRead(offset: number): number {
    for (let i = 0; this.#mustWait(offset); i++) {
      if (i === 10_000) throw new Error(`the guest waits for ever to read ${offset.toString(16)}`);
      this.onGuestWaits!();
    }
    return this.#isAbsent ? NOTHING : this.#bar0.read32(offset);
  }

  /** The Rx page's mapping is just being changed: a guest that accessed it now would wait. */
  get guestIsHeld(): boolean {
    return this.#barMap.words[BAR_WORD.modes + 1] === MODE.held;
  }

  guestWrite(offset: number, value: number): void {
    if (!this.#isAbsent) this.#bar0.write32(offset, value);
  }

  configWrite(offset: number, value: number): void {
    if (!this.#isAbsent) this.#config.write32(offset, value);
  }

  configRead(offset: number): number {
    return this.#isAbsent ? NOTHING : this.#config.read32(offset);
  }

  /** Configuration space of slot 0, where hot-plug is. */
  bridgeRead(offset: number): number {
    return this.#bridge.read(offset) ?? 0;
  }

  bridgeWrite(offset: number, value: number): void {
    this.#bridge.write(offset, value);
  }

  /** What the VM's state says of its slots goes with it. */
  takeSlotsFrom(source: TestHost): void {
    this.#hotplug.restore(source.#hotplug.save());
  }

  /** Interrupt lines that hot-plug has raised since the last call, a bit each. */
  takeHotplugLines(): number {
    return Atomics.exchange(this.#control, CTRL.irqPending, 0);
  }

  get #isAbsent(): boolean {
    return this.#bridge.isAbsent(TEST_SLOT);
  }

  msixWrite(offset: number, value: number): void {
    if (!this.#isAbsent) this.#guestBar.write32(3, offset, value);
  }

  /** The guest resets its VF and makes itself known to the PF again. */
  guestReset(): void {
    this.guestWrite(REG.VFCTRL, 1 << 26);
    this.engine.step();
    this.driver.applyReset(this.driver.vf(VF));
    this.#admitVf();
  }

  // --- the verifier ---------------------------------------------------------------------------------------------------

  /** Pages of guest RAM that DMA wrote since the last call. No plugin can reach this. */
  takeTruth(): Set<number> {
    const pages = new Set<number>();
    this.#truth.forEach((written, page) => {
      if (written !== 0) pages.add(page);
    });
    this.#truth.fill(0);
    return pages;
  }

  /** Whether the guest's accesses to page 1 (the Rx queues) are direct again. */
  get mapping(): string {
    return this.#barMap.mappingOf(1);
  }

  close(): void {
    this.#exits.close();
    this.engine.close();
  }

  /** What the guest's RESET, API_NEGOTIATE and SET_LPE messages bring about. */
  #admitVf(): void {
    const record = this.driver.vf(VF);
    record.apiVersion = API.v14;
    this.driver.admit(record);
    this.driver.setMaxFrame(record, LONGEST_FRAME_BYTES);
  }

  /** The hypervisor's rule for shadow pages, without a second thread to wait in. */
  #mustWait(offset: number): boolean {
    const words = this.#barMap.words;
    return (
      this.onGuestWaits !== null &&
      this.#barMap.mappingOf(offset >>> 12) === 'shadow' &&
      words[BAR_WORD.turnsTaken] !== 0 &&
      ((words[BAR_WORD.shadowWrites]! - words[BAR_WORD.turnSeen]!) | 0) > 0
    );
  }

  #accessOf(pfBar: PfBar, isAssisted: boolean): DeviceAccess {
    const { layout } = this;
    const bar = this.#guestBar;
    const window = {
      read: () => bar.read32(0, REG.VFMAILBOX),
      write: (value: number) => bar.write32(0, REG.VFMAILBOX, value),
    };
    const announce = (): void => {
      this.announcements++;
    };
    const parts: DeviceParts = {
      vf: VF,
      ram: { bytes: layout.ramBytes, u8: this.ram, i32: this.words },
      bar0: {
        read32: (o) => {
          this.beforeRead?.();
          return bar.read32(0, o);
        },
        write32: (o, v) => bar.write32(0, o, v),
      },
      bar3: { read32: (o) => bar.read32(3, o), write32: (o, v) => bar.write32(3, o, v) },
      pf: { read32: (o) => pfBar.read32(0, o), write32: (o, v) => pfBar.write32(0, o, v) },
      pages: this.#barMap,
      clock: this.clock,
      config: { read32: (o) => this.#config.read32(o), write32: (o, v) => this.#config.write32(o, v) },
      scratch: {
        iova: layout.scratchOffset,
        bytes: SCRATCH_BYTES,
        i32: new Int32Array(this.memory, layout.scratchOffset, SCRATCH_BYTES / 4),
      },
      policy: {
        export: () => exportVfPolicy(this.driver, VF, window),
        import: (policy) => importVfPolicy(this.driver, VF, policy, window),
        whileSending: (action) => this.driver.whileSending(VF, action),
      },
      statistics: { read: () => bar.statistics(), continueFrom: (values) => bar.continueFrom(values) },
      iommuDirty: dirtyBitsOf(this.#domain, layout),
      assist: null,
      hotplug: this.#hotplug.add(TEST_SLOT, {
        attach: async () => this.engine.attach(VF, this.#domain),
        detach: async () => {
          this.engine.detach(VF);
          // the PF driver sees the reset
          this.driver.applyReset(this.driver.vf(VF));
        },
      }),
      guest: {
        lastMessage: (type) => this.driver.vf(VF).vendorMessages.get(type) ?? null,
        request: async (words) => {
          const answer = this.onGuestRequest?.(words);
          if (answer === undefined) throw new Error('the guest has no driver that answers');
          return answer;
        },
      },
      raiseInterrupt: (vector) => bar.write32(0, REG.VTEICS, 1 << vector),
      announce,
    };
    return {
      parts: isAssisted ? { ...parts, iommuDirty: null, assist: assistOf(parts) } : parts,
      handle: null,
      opener: new URL('./no-thread.js', import.meta.url),
      exits: this.#exits,
      wake: { words: this.#barMap.words, index: BAR_WORD.wake },
    };
  }
}
