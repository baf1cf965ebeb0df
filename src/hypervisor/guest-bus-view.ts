/**
 * The bus of one VM, in its vCPU's thread: the host bridge in slot 0, passed-through VFs from slot 1 on. A slot whose
 * function is unplugged answers as an empty one. Paravirtual NICs come after the VFs: their every access is an exit, but for
 * BAR0 of a virtual interface, whose registers are a device's own.
 *
 *   configuration space   an exit, emulated on the VF's configuration words
 *   BAR0                  through the BAR map: mostly straight to the device
 *   BAR3                  an exit: the hypervisor owns the MSI-X table
 */
import type { MessagePort } from 'node:worker_threads';
import { blockThread, type Clock, type WordWait } from '../hardware/clock.js';
import { RX, TX, VF } from '../hardware/nic/offsets.js';
import { type NicHandle, NicShared } from '../hardware/nic/shared.js';
import { VfBar } from '../hardware/nic/vf-bar.js';
import { ConfigSpace } from '../hardware/pci/config-space.js';
import { PCI } from '../hardware/pci/offsets.js';
import type { GuestBus } from '../machine/guest-bus.js';
import { MSIX_BAR } from '../virtio/config-image.js';
import { NetFunction } from '../virtio/net-function.js';
import { BarAccess } from './bar-access.js';
import type { DeviceModelCalls, DeviceModelRequest } from './device-model.js';
import { ExitHook, type ExitOrder, type GuestExitHandler, loadAtOnce } from './exit-hook.js';
import { GuestVfBar } from './guest-vf-bar.js';
import { HotplugRegisters } from './hotplug-registers.js';
import { InterruptRemap, type InterruptRoute } from './interrupt-remap.js';
import type { NetSlotHandle } from './paravirtual-net.js';
import { openPassthrough, type PassthroughHandle, type PassthroughView } from './passthrough-core.js';
import { countExit, EXIT_REASON } from './vm-exits.js';

/** What a vCPU's thread needs of one passed-through VF. Structured-cloneable. */
export interface SlotHandle {
  readonly slot: number;
  readonly nic: NicHandle;
  readonly vf: number;
  readonly barMap: SharedArrayBuffer;
  /** Where messages go that an access of this VF can fire: its own to the VM, the PF's to the host. */
  readonly routes: readonly InterruptRoute[];
  /** Where orders for trapped writes arrive. Transferred. */
  readonly exits: MessagePort;
}

/** What a handler of trapped writes sees of its device, in the thread that makes them. */
export type OpenExitView = (handle: PassthroughHandle) => PassthroughView;

/** Between the registers of a VF's two queues. */
const QUEUE_STRIDE = 0x40;
const NOTHING = 0xffff_ffff;
const FUNCTION_LEVEL_RESET = 1 << 15;
/** ENABLE of each of a VF's queues. */
const QUEUE_CONTROLS: readonly number[] = [0, QUEUE_STRIDE].flatMap((block) => [
  VF.RX + block + RX.RXDCTL,
  VF.TX + block + TX.TXDCTL,
]);

/** Configuration space of the host bridge: vendor and device 8086:1237, class 06:00 revision 2, nothing else. */
const HOST_BRIDGE: ReadonlyMap<number, number> = new Map([
  [0x00, 0x1237_8086],
  [0x08, 0x0600_0002],
]);

/** What an order's entry exports. */
interface ExitEntry {
  openExits(start: unknown, device: PassthroughView): GuestExitHandler;
}

interface Function {
  readonly config: ConfigSpace;
  readonly bar: GuestVfBar;
  readonly bar0: BarAccess;
}

export class GuestBusView implements GuestBus {
  readonly #functions: (Function | undefined)[] = [];
  readonly #nets: (NetFunction | undefined)[] = [];
  /** By slot: BAR0 is passed through. */
  readonly #direct: boolean[] = [];
  readonly #control: Int32Array;
  readonly #hotplug: HotplugRegisters;
  /** Null: every acceleration is on. */
  readonly #deviceModel: DeviceModelCalls | null;

  constructor(
    slots: readonly SlotHandle[],
    control: Int32Array,
    clock: Clock,
    wait: WordWait = blockThread,
    nets: readonly NetSlotHandle[] = [],
    openExitView: OpenExitView = (handle) => openPassthrough(handle, clock, wait),
    deviceModel: DeviceModelCalls | null = null,
  ) {
    this.#deviceModel = deviceModel;
    this.#control = control;
    for (const { slot, device, routes, isDirect } of nets) {
      this.#direct[slot] = isDirect;
      this.#nets[slot] = new NetFunction(device, new InterruptRemap(routes), wait);
    }
    this.#hotplug = new HotplugRegisters(
      control,
      () => [...slots, ...nets].reduce((mask, { slot }) => mask | (1 << slot), 0),
      (slot) => {
        const target = this.#functions[slot];
        if (target !== undefined) writeConfig(target, PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET);
        this.#nets[slot]?.configWrite(PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET);
      },
    );
    const openExits = (order: ExitOrder): GuestExitHandler => {
      const entry = loadAtOnce(order.entry) as ExitEntry;
      return entry.openExits(order.start, openExitView(order.handle));
    };
    for (const { slot, nic, vf, barMap, routes, exits } of slots) {
      const shared = new NicShared(nic, wait);
      const msi = new InterruptRemap(routes);
      const bar = new GuestVfBar(new VfBar(shared, vf, msi, clock), barMap);
      this.#functions[slot] = {
        config: new ConfigSpace(shared, vf, msi, clock),
        bar,
        bar0: new BarAccess(barMap, bar, control, wait, new ExitHook(exits, barMap, openExits)),
      };
    }
  }

  pciRead(slot: number, offset: number): number {
    countExit(this.#control, EXIT_REASON.configRead);
    if (slot === 0) return this.#hotplug.read(offset & ~3) ?? HOST_BRIDGE.get(offset & ~3) ?? 0;
    return this.#at(slot)?.config.read32(offset) ?? this.#netAt(slot)?.configRead(offset) ?? NOTHING;
  }

  pciWrite(slot: number, offset: number, value: number): void {
    countExit(this.#control, EXIT_REASON.configWrite);
    if (slot === 0) this.#hotplug.write(offset & ~3, value);
    else {
      const target = this.#at(slot);
      if (target !== undefined) writeConfig(target, offset, value);
      this.#netAt(slot)?.configWrite(offset, value);
    }
  }

  barRead(slot: number, bar: number, offset: number): number {
    const target = this.#at(slot);
    if (target === undefined) return this.#netRead(slot, bar, offset);
    if (bar === 0) return target.bar0.read32(offset);
    if (bar !== 3) return NOTHING;
    countExit(this.#control, EXIT_REASON.msixRead);
    if (this.#deviceModel?.served.mask) return this.#serveElsewhere({ kind: 'msix-read', slot, offset });
    return target.bar.read32(3, offset);
  }

  barWrite(slot: number, bar: number, offset: number, value: number, bytes = 4): void {
    const target = this.#at(slot);
    if (target === undefined) {
      this.#netWrite(slot, bar, offset, value, bytes);
      return;
    }
    // a VF takes whole registers only; a narrower write is dropped, as the specification lets it be
    if (bytes !== 4) return;
    if (bar === 0) {
      target.bar0.write32(offset, value);
    } else if (bar === 3) {
      countExit(this.#control, EXIT_REASON.msixWrite);
      if (this.#deviceModel?.served.mask) this.#serveElsewhere({ kind: 'msix-write', slot, offset, value });
      else target.bar.write32(3, offset, value);
    }
  }

  endOfInterrupt(): void {
    countExit(this.#control, EXIT_REASON.endOfInterrupt);
    if (this.#deviceModel?.served.eoi) this.#serveElsewhere({ kind: 'end-of-interrupt' });
  }

  #serveElsewhere(request: DeviceModelRequest): number {
    countExit(this.#control, EXIT_REASON.servedElsewhere);
    return this.#deviceModel!.call(request);
  }

  #netRead(slot: number, bar: number, offset: number): number {
    const net = this.#netAt(slot);
    if (net === undefined) return NOTHING;
    if (bar === MSIX_BAR) countExit(this.#control, EXIT_REASON.msixRead);
    else if (!this.#direct[slot]) countExit(this.#control, EXIT_REASON.paravirtualRead);
    return net.barRead(bar, offset);
  }

  #netWrite(slot: number, bar: number, offset: number, value: number, bytes: number): void {
    const net = this.#netAt(slot);
    if (net === undefined) return;
    const write = net.barWrite(bar, offset, value, bytes);
    if (write !== 'msix' && this.#direct[slot]) return;
    switch (write) {
      case 'notify':
        countExit(this.#control, EXIT_REASON.paravirtualNotify);
        return;
      case 'msix':
        countExit(this.#control, EXIT_REASON.msixWrite);
        return;
      default:
        countExit(this.#control, EXIT_REASON.paravirtualWrite);
    }
  }

  #at(slot: number): Function | undefined {
    return this.#hotplug.isAbsent(slot) ? undefined : this.#functions[slot];
  }

  #netAt(slot: number): NetFunction | undefined {
    return this.#hotplug.isAbsent(slot) ? undefined : this.#nets[slot];
  }
}

/**
 * A guest that has reset a function may take back the memory of its queues at once: the engine's step that was under way is
 * waited for, as a read of ENABLE does.
 */
function writeConfig({ config, bar }: Function, offset: number, value: number): void {
  config.write32(offset, value);
  if ((offset & ~3) !== PCI.PCIE_DEVCTL || (value & FUNCTION_LEVEL_RESET) === 0) return;
  for (const control of QUEUE_CONTROLS) bar.read32(0, control);
}
