/**
 * One VMM process: the NICs it has opened, the VM it runs, and what people may ask about them. Migration is in
 * vmm-migration.ts, the QMP names in commands.ts.
 */
import { statSync } from 'node:fs';
import { DriverDomain } from '../hypervisor/driver-domain.js';
import { Nic } from '../hypervisor/nic.js';
import { type InterruptOptions, VirtualMachine, type VmEvent, type VmNet } from '../hypervisor/vm.js';
import { readLinuxImage } from '../rv64/machine/linux-image-files.js';
import type { ImageManifest } from './images.js';
import { imageCacheDir } from './package-root.js';
import type { JsonObject } from './qmp-protocol.js';
import { type VifRequest, VifRoom } from './vifs.js';

/** A VF as the user asked for it. */
export interface VfRequest {
  readonly mac?: string;
  readonly wire?: string;
  /** Records the wire's frames in this pcapng file. */
  readonly pcap?: string;
  readonly vlan?: number;
  readonly maxTxRateMbps?: number;
  readonly trust: boolean;
}

/** A paravirtual NIC as the user asked for it. */
export interface NetRequest {
  readonly mac?: string;
  readonly wire?: string;
  readonly pcap?: string;
}

export interface VmmOptions {
  readonly name: string;
  /** 10 000 by default; 0 = unlimited. */
  readonly linkSpeedMbps?: number;
  /** Longest packet of the ports; 1500 by default. */
  readonly mtu?: number;
  /** Of the ports: 1 by default, or 2. */
  readonly trafficClasses?: number;
  /** The host's IOMMU keeps dirty bits. */
  readonly iommuDirtyBits?: boolean;
  readonly interrupts?: InterruptOptions;
  readonly emit: (event: string, data?: JsonObject) => void;
  /** A line of the guest's console. */
  readonly onConsole?: (line: string) => void;
  /** What a guest with a terminal wrote there. */
  readonly onTerminal?: (bytes: Uint8Array) => void;
}

/** A VMM asked for what it does not have: no VM yet, or not in this state. */
export class VmmError extends Error {
  override readonly name = 'VmmError';
}

/** Of a frame besides its packet: header and checksum. */
const ETHERNET_BYTES = 18;
/** The same, with a VLAN tag and without the checksum. */
const VIF_ETHERNET_BYTES = 18;

export class Vmm {
  readonly name: string;
  readonly iommuDirtyBits: boolean;
  readonly interrupts: InterruptOptions;
  readonly emit: VmmOptions['emit'];
  readonly #options: VmmOptions;
  /** By wire: VFs with the same wire are VFs of one card. */
  readonly #nics = new Map<string, Nic>();
  /** By wire, too: one for each card that paravirtual NICs were asked for on. */
  readonly #domains = new Map<string, DriverDomain>();
  /** The devices that virtualise themselves. */
  readonly vifs: VifRoom;
  #vm: VirtualMachine | null = null;
  readonly startedAtMs = Date.now();

  constructor(options: VmmOptions) {
    this.name = options.name;
    this.iommuDirtyBits = options.iommuDirtyBits === true;
    this.interrupts = options.interrupts ?? {};
    this.emit = options.emit;
    this.#options = options;
    this.vifs = new VifRoom(options.mtu === undefined ? undefined : options.mtu + VIF_ETHERNET_BYTES);
  }

  get vm(): VirtualMachine | null {
    return this.#vm;
  }

  /** @throws VmmError when there is none. */
  requireVm(): VirtualMachine {
    if (this.#vm === null)
      throw new VmmError(`VMM '${this.name}' has no VM (it waits for one to arrive, or it is gone)`);
    return this.#vm;
  }

  /** Builds a VM of this process; it does not run yet. */
  async createVm(
    image: ImageManifest,
    ramBytes: number,
    commandLine: string,
    vfs: readonly VfRequest[],
    nets: readonly NetRequest[] = [],
    vifs: readonly VifRequest[] = [],
  ): Promise<VirtualMachine> {
    if (!statSync(image.component, { throwIfNoEntry: false })) {
      const build = image.kind === 'component' ? 'images' : `image:${image.name}`;
      throw new VmmError(
        `image ${image.name} is not built: ${image.component} is missing; run 'npm run ${build}'`,
      );
    }
    const vm = await VirtualMachine.create({
      name: this.name,
      image:
        image.kind === 'component'
          ? { path: image.component, ramBytes, cacheDir: imageCacheDir() }
          : readLinuxImage(image.component, image.name, ramBytes),
      commandLine,
      vfs: await this.openVfs(vfs),
      nets: [...(await this.openNets(nets)), ...(await this.vifs.open(vifs))],
      iommuDirtyBits: this.iommuDirtyBits,
      interrupts: this.interrupts,
      onEvent: (event) => this.#onVmEvent(event),
    });
    this.#vm = vm;
    return vm;
  }

  /** The VM that a migration has built here. */
  adopt(vm: VirtualMachine): void {
    this.#vm = vm;
    vm.subscribe((event) => this.#onVmEvent(event));
  }

  /** The migration that built it failed. */
  disown(vm: VirtualMachine): void {
    if (this.#vm === vm) this.#vm = null;
  }

  /** Ends the VM; the process and its cards stay. */
  async dropVm(): Promise<void> {
    const vm = this.#vm;
    this.#vm = null;
    await vm?.destroy();
  }

  /** Opens the NICs that these VFs need. */
  async openVfs(requests: readonly VfRequest[]): Promise<{ nic: Nic; assignment: object }[]> {
    const opened = [];
    for (const { mac, wire = 'null', pcap, vlan, maxTxRateMbps, trust } of requests) {
      const spec = pcap === undefined ? wire : `pcap:${pcap},${wire}`;
      opened.push({
        nic: await this.#nic(spec),
        assignment: { mac, portVlan: vlan, maxTxRateMbps, trusted: trust },
      });
    }
    return opened;
  }

  /** Opens the NICs that these need, and the driver domains that serve them. */
  async openNets(requests: readonly NetRequest[]): Promise<VmNet[]> {
    const opened = [];
    for (const { mac, wire = 'null', pcap } of requests) {
      const spec = pcap === undefined ? wire : `pcap:${pcap},${wire}`;
      const domain = this.#domains.get(spec) ?? (await DriverDomain.open(await this.#nic(spec)));
      this.#domains.set(spec, domain);
      opened.push({ domain, mac });
    }
    return opened;
  }

  get nics(): ReadonlyMap<string, Nic> {
    return this.#nics;
  }

  get domains(): ReadonlyMap<string, DriverDomain> {
    return this.#domains;
  }

  /** Ends everything this process holds. */
  async close(): Promise<void> {
    await this.#vm?.destroy();
    for (const domain of this.#domains.values()) await domain.close();
    this.#domains.clear();
    await this.vifs.close();
    for (const nic of this.#nics.values()) await nic.close();
    this.#nics.clear();
  }

  async #nic(spec: string): Promise<Nic> {
    const known = this.#nics.get(spec);
    if (known) return known;
    const { linkSpeedMbps, mtu, trafficClasses } = this.#options;
    const nic = await Nic.open({
      wire: spec,
      ...(linkSpeedMbps === undefined ? {} : { linkSpeedMbps }),
      ...(mtu === undefined ? {} : { maxFrameBytes: mtu + ETHERNET_BYTES }),
      ...(trafficClasses === undefined ? {} : { trafficClasses }),
      onFailure: (error) => process.stderr.write(`srvm: ${error.message}\n`),
    });
    this.#nics.set(spec, nic);
    return nic;
  }

  #onVmEvent(event: VmEvent): void {
    if (event.kind === 'console') {
      this.#options.onConsole?.(event.line);
      return;
    }
    if (event.kind === 'terminal') {
      this.#options.onTerminal?.(event.bytes);
      return;
    }
    switch (event.state.kind) {
      case 'paused':
        this.emit('STOP');
        return;
      case 'running':
        this.emit('RESUME');
        return;
      case 'halted':
        this.emit('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
        return;
      case 'trapped':
        process.stderr.write(`srvm: guest '${this.name}' trapped: ${event.state.report.message}\n`);
        this.emit('X_SRVM_TRAP', {
          message: event.state.report.message,
          stack: [...event.state.report.stack],
        });
        return;
      default:
    }
  }
}
