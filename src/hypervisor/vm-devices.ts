/**
 * The devices of one VM: its slots from 1 on, passed-through VFs first, then paravirtual NICs; what comes and goes in them,
 * and who serves their interrupts.
 *
 *   attach -> the vCPU starts over `slots` and `nets` -> ... -> quiet -> the vCPU ends -> release
 */
import type { MemoryLayout } from '../machine/layout.js';
import { InterruptCoalescing, type ItrPolicy } from './coalescing.js';
import { DeviceModel } from './device-model.js';
import type { GuestKind } from './guest-kind.js';
import type { HostThreads, VcpuThreadBoot } from './host-threads.js';
import { Hotplug } from './hotplug.js';
import type { NetServer } from './net-server.js';
import { type Nic, randomMac, type VfAssignment } from './nic.js';
import { ParavirtualNet } from './paravirtual-net.js';
import { PassedThroughVf, scratchShare } from './passthrough.js';
import { controlWords } from './vm-exits.js';
import type { VmInfo } from './vm-info.js';
import { VmError } from './vm-state.js';

export interface VmVf {
  readonly nic: Nic;
  readonly assignment?: VfAssignment;
}

export interface VmNet {
  readonly domain: NetServer;
  /** Made up when left out. */
  readonly mac?: string | undefined;
}

/** How interrupts are served; what is left out is as fast as it can be, and the intervals are the driver's. */
export interface InterruptOptions {
  /** Accesses to the MSI-X table in the vCPU's thread; else by the main thread. */
  readonly accelMask?: boolean;
  /** The same for ends of interrupts, of guests that have them. */
  readonly accelEoi?: boolean;
  /** Who sets VTEITR; the guest's driver when left out. */
  readonly itr?: ItrPolicy;
}

export interface VmDeviceOptions {
  /** In the order of their slots, from slot 1 on; at most MAX_VM_VFS. */
  readonly vfs?: readonly VmVf[];
  /** Paravirtual NICs, in the slots after the VFs; at most MAX_VM_NETS. */
  readonly nets?: readonly VmNet[];
  /** Everything is made ready for a guest that comes from elsewhere: restoreVmState, then resume. */
  readonly incoming?: boolean;
  /** The host's IOMMU has dirty bits. */
  readonly iommuDirtyBits?: boolean;
  readonly interrupts?: InterruptOptions;
}

export const MAX_VM_VFS = 8;
/** The slots of a machine's own devices follow. */
export const MAX_VM_NETS = 7;

export class VmDevices {
  readonly hotplug: Hotplug;
  readonly #kind: GuestKind;
  readonly #layout: MemoryLayout;
  readonly #threads: HostThreads;
  readonly #coalescing: InterruptCoalescing[] = [];
  #vfs: PassedThroughVf[] = [];
  #nets: ParavirtualNet[] = [];
  #model: DeviceModel | null = null;

  constructor(kind: GuestKind, memory: WebAssembly.Memory, threads: HostThreads) {
    this.#kind = kind;
    this.#layout = kind.layout;
    this.#threads = threads;
    this.hotplug = new Hotplug(
      {
        control: controlWords(bufferOf(memory), kind.layout.controlOffset),
        timers: threads.timers,
        whenChanged: (...word) => threads.whenChanged(...word),
      },
      kind.hasHotplug,
    );
  }

  get vfs(): readonly PassedThroughVf[] {
    return this.#vfs;
  }

  get nets(): readonly ParavirtualNet[] {
    return this.#nets;
  }

  /** What each may write of the VM's memory, it may write from here on. @throws VmError when there are too many */
  async attach(memory: WebAssembly.Memory, options: VmDeviceOptions): Promise<void> {
    const { vfs = [], nets = [] } = options;
    if (vfs.length > MAX_VM_VFS) throw new VmError(`${vfs.length} VFs: a VM has at most ${MAX_VM_VFS}`);
    if (nets.length > MAX_VM_NETS)
      throw new VmError(`${nets.length} paravirtual NICs: a VM has at most ${MAX_VM_NETS}`);
    for (const [index, vf] of vfs.entries()) await this.#attachVf(memory, vf, index, options);
    this.#makeModel(options.interrupts ?? {});
    for (const [index, net] of nets.entries())
      await this.#attachNet(memory, net, vfs.length + 1 + index, options);
  }

  /** What a vCPU's thread is told of them. */
  get boot(): Pick<VcpuThreadBoot, 'slots' | 'nets' | 'deviceModel'> {
    return {
      slots: this.#vfs.map((vf) => vf.slot),
      nets: this.#nets.map((net) => net.slot),
      deviceModel: this.#model?.handle ?? null,
    };
  }

  /** What devices wrote, a byte map of pages for each: for the verifier and reports only. */
  get groundTruth(): readonly SharedArrayBuffer[] {
    return [...this.#vfs, ...this.#nets].map((device) => device.domain.truth);
  }

  info(): Pick<VmInfo, 'vfs' | 'nets'> {
    return {
      vfs: this.#vfs.map((passed, index) => ({
        slot: index + 1,
        vf: passed.vf,
        mac: passed.nic.driver.vf(passed.vf).mac,
        plugged: passed.view.hotplug.plugged,
        linkUp: passed.nic.linkUp,
        bar0: Array.from({ length: passed.view.pages.count }, (_, page) => passed.view.pages.mappingOf(page)),
        dmaFaults: passed.faults,
      })),
      nets: this.#nets.map((net) => ({
        slot: net.slot.slot,
        plugged: net.hotplug.plugged,
        mac: net.mac,
        stats: net.stats,
      })),
    };
  }

  /** The VM is about to end: nothing is asked of the guest any more. */
  quiet(): void {
    for (const each of this.#coalescing) each.stop();
    this.hotplug.close();
  }

  /** After the vCPU has ended. When it resolves, nothing touches the VM's memory. */
  async release(): Promise<void> {
    this.#model?.close();
    for (const vf of this.#vfs) await vf.release();
    this.#vfs = [];
    for (const net of this.#nets) await net.release();
    this.#nets = [];
  }

  async #attachVf(
    memory: WebAssembly.Memory,
    { nic, assignment }: VmVf,
    index: number,
    { vfs = [], incoming, iommuDirtyBits, interrupts }: VmDeviceOptions,
  ): Promise<void> {
    const passed = new PassedThroughVf({
      nic,
      vf: nic.allocateVf({ ...assignment, incoming }),
      slot: index + 1,
      memory: bufferOf(memory),
      layout: this.#layout,
      ...scratchShare(index, vfs.length),
      iommuDirtyBits: iommuDirtyBits === true,
      messages: this.#kind.messageTarget(memory),
      hotplug: this.hotplug,
    });
    this.#vfs.push(passed);
    await passed.attach();
    const itr = interrupts?.itr;
    if (itr === undefined) return;
    const bar = nic.vfBar(passed.vf);
    this.#coalescing.push(new InterruptCoalescing(itr, bar, passed.slot.barMap, this.#threads.timers));
  }

  async #attachNet(
    memory: WebAssembly.Memory,
    { domain, mac }: VmNet,
    slot: number,
    { incoming = false }: VmDeviceOptions,
  ): Promise<void> {
    const net = new ParavirtualNet({
      domain,
      mac: mac ?? randomMac(this.#threads.random),
      slot,
      memory: bufferOf(memory),
      layout: this.#layout,
      messages: this.#kind.messageTarget(memory),
      hotplug: this.hotplug,
    });
    this.#nets.push(net);
    await net.attach(!incoming);
  }

  /** Only for what is not to be done in the vCPU's thread. */
  #makeModel({ accelMask = true, accelEoi = true }: InterruptOptions): void {
    if (accelMask && accelEoi) return;
    this.#model = new DeviceModel({ mask: !accelMask, eoi: !accelEoi }, (request) => {
      if (request.kind === 'end-of-interrupt') return 0;
      const bar3 = this.#vfs[request.slot - 1]?.view.bar3;
      if (request.kind === 'msix-read') return bar3?.read32(request.offset) ?? 0xffff_ffff;
      bar3?.write32(request.offset, request.value);
      return 0;
    });
  }
}

/** The memory is a shared one; the library's type knows only the other kind. */
const bufferOf = (memory: WebAssembly.Memory): SharedArrayBuffer =>
  memory.buffer as unknown as SharedArrayBuffer;
