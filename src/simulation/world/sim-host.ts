/**
 * One simulated host, put together from production parts: card, PF driver, VM, plugin host, both ends of a migration.
 *
 *   boot ------> VM runs                     depart --> SourceMigration over the VM and the migration link
 *   receive ---> DestinationMigration --> VM runs here
 *
 * What differs from a process: threads are virtual cores (threads.ts), guest memory comes from a pool, and there is no image
 * to look for.
 */
import { decodePlain } from '../../control/plain-cbor.js';
import { NIC_MODEL, sourcePort } from '../../control/source-port.js';
import type { LoadedImage } from '../../guest/loaded-image.js';
import type { Wire } from '../../hardware/wire/wire.js';
import { BAR_WORD } from '../../hypervisor/bar-map.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../hypervisor/host-threads.js';
import { Nic } from '../../hypervisor/nic.js';
import { PASSTHROUGH_OPENER, type PassedThroughVf } from '../../hypervisor/passthrough.js';
import { VirtualMachine } from '../../hypervisor/vm.js';
import type { DeviceMigrator } from '../../migration/device-migrator.js';
import { MigrationRefusedError } from '../../migration/errors.js';
import type { DestinationHost, DestinationVm, Reservation, SourceVm } from '../../migration/ports.js';
import type { Offer } from '../../migration/stream/records.js';
import type { DeviceAccess } from '../../plugin/device-access.js';
import { PluginMigrator } from '../../plugin/host.js';
import { type LoadedPlugin, resolveOptions } from '../../plugin/loader.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { SimulatedVcpu } from '../guests/vcpu-options.js';
import { CardWindows } from './card-windows.js';
import type { EngineCore } from './engine-core.js';
import type { RunPlan } from './plan.js';
import { type PluginCore, startPluginCore } from './plugin-core.js';
import type { PluginFaults } from './plugin-faults.js';
import { SimulatedThreads } from './threads.js';

export interface SimHostOptions {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly plan: RunPlan;
  readonly makeWire: (time: HostTime) => Wire;
  readonly image: LoadedImage;
  readonly commandLine: string;
  readonly plugin: LoadedPlugin;
  readonly faults: PluginFaults;
  readonly takeMemory: (ramBytes: number) => WebAssembly.Memory;
  readonly startVcpu: (host: SimHost, boot: VcpuThreadBoot, events: VcpuThreadEvents) => SimulatedVcpu;
  /** Everything arrived here, nothing was restored: the moment to compare memories. */
  readonly onArrived: (host: SimHost, vm: VirtualMachine) => void;
  readonly onNote: (text: string) => void;
}

/** VFs of a card: one for the guest, one to spare. */
export const VF_COUNT = 2;
/** Limits of calls into the plugin: virtual, and short for the same reason as STEP_LIMIT_MS. */
const PLUGIN_LIMITS = { callMs: 40, startMs: 30, turnMs: 30, stopMs: 20 };

export const CRASHED = Symbol('crashed');

/** What a host promises never comes once it has crashed. */
export function unlessCrashed<T>(host: SimHost, promise: Promise<T>): Promise<T | typeof CRASHED> {
  return new Promise((resolve, reject) => {
    if (host.isCrashed) resolve(CRASHED);
    host.time.onCrash(() => resolve(CRASHED));
    promise.then(resolve, reject);
  });
}

export class SimHost {
  readonly name: string;
  readonly time: HostTime;
  readonly windows: CardWindows;
  readonly threads: SimulatedThreads;
  /** Cores of plugins, ended or not. */
  readonly pluginCores: PluginCore[] = [];
  nic: Nic | null = null;
  vm: VirtualMachine | null = null;
  engine: EngineCore | null = null;
  vcpu: SimulatedVcpu | null = null;
  readonly #o: SimHostOptions;

  constructor(options: SimHostOptions) {
    const { scheduler, name, choices, plan, makeWire } = options;
    this.#o = options;
    this.name = name;
    this.time = scheduler.host(name);
    this.windows = new CardWindows(
      scheduler,
      () => this.engine,
      () => this.#wakeSleepers(),
    );
    this.threads = new SimulatedThreads({
      scheduler,
      choices,
      host: this.time,
      speeds: plan.speeds,
      wire: makeWire(this.time),
      wait: this.windows.waitOf(() => null),
      onEngine: (engine) => {
        this.engine = engine;
      },
      startVcpu: (boot, events) => {
        this.vcpu = options.startVcpu(this, boot, events);
        return this.vcpu;
      },
    });
    scheduler.afterEach(() => this.#wakeSleepers());
  }

  /** What the plugin requires of a host, this one has. */
  get #iommuDirtyBits(): boolean {
    return this.#o.plugin.definition.requires?.includes('iommu-dirty-bits') === true;
  }

  get isCrashed(): boolean {
    return this.time.isCrashed;
  }

  /** The card, its link up. */
  async open(): Promise<void> {
    const { plan, onNote } = this.#o;
    this.nic = await Nic.open({
      wire: 'sim',
      vfCount: VF_COUNT,
      linkSpeedMbps: plan.linkSpeedMbps,
      threads: this.threads,
      onFailure: (error) => onNote(`${this.name}: ${error.message}`),
    });
  }

  /** A guest's first boot. */
  async boot(mac: string): Promise<void> {
    const { image, commandLine, takeMemory } = this.#o;
    this.vm = await VirtualMachine.create({
      name: 'guest',
      image,
      commandLine,
      memory: takeMemory(image.ramBytes),
      vfs: [{ nic: this.nic!, assignment: { mac } }],
      iommuDirtyBits: this.#iommuDirtyBits,
      threads: this.threads,
    });
    this.vm.start();
  }

  /** The VM here as a migration's source. */
  sourceVm(): SourceVm {
    return sourcePort(this.vm!, () => {});
  }

  deviceOf(vm: VirtualMachine): DeviceMigrator {
    const { plugin, plan, scheduler, faults, onNote } = this.#o;
    const device = vm.vfs[0]!;
    const options = resolveOptions(plugin.definition, plan.mode === '' ? {} : { mode: plan.mode });
    return new PluginMigrator({
      definition: faults.wrap(plugin).definition,
      options,
      access: this.#accessTo(device),
      timers: this.time,
      limits: PLUGIN_LIMITS,
      startCore: (start) =>
        startPluginCore(
          {
            scheduler,
            host: this.time,
            speeds: plan.speeds,
            windows: this.windows,
            faults,
            onCore: (core) => this.pluginCores.push(core),
          },
          start,
        ),
      onNote,
    });
  }

  /** The host as a migration's destination. */
  get destination(): DestinationHost {
    return { reserve: (offer) => this.#reserve(offer) };
  }

  /** Ends the VM that was here; what it held is free again. */
  async dropVm(): Promise<void> {
    const { vm } = this;
    this.vm = null;
    await vm?.destroy();
  }

  async close(): Promise<void> {
    await this.dropVm();
    await this.nic?.close();
  }

  async #reserve(offer: Offer): Promise<Reservation> {
    const { image, plugin, takeMemory, faults } = this.#o;
    faults.pass('reserve');
    if (this.vm !== null) throw new MigrationRefusedError('busy', `host ${this.name} has a VM already`);
    if (offer.imageKey !== image.key) throw new MigrationRefusedError('image', 'another image');
    if (offer.nicModel !== NIC_MODEL) throw new MigrationRefusedError('nic', 'another card');
    if (offer.plugin?.name !== plugin.definition.name)
      throw new MigrationRefusedError('plugin', 'another plugin');
    const memory = takeMemory(offer.ramBytes);
    const prepared = this.#build(memory);
    return {
      memory,
      ramBytes: offer.ramBytes,
      prepared,
      release: async () => {
        const built = await prepared.catch(() => null);
        await built?.destroy();
      },
    };
  }

  async #build(memory: WebAssembly.Memory): Promise<DestinationVm> {
    const { image, onArrived, faults } = this.#o;
    const vm = await VirtualMachine.create({
      name: 'guest',
      image,
      memory,
      incoming: true,
      vfs: [{ nic: this.nic! }],
      iommuDirtyBits: this.#iommuDirtyBits,
      threads: this.threads,
    });
    this.vm = vm;
    const device = this.deviceOf(vm);
    return {
      memory,
      ramBytes: image.ramBytes,
      device,
      restoreVmState: async (state) => {
        onArrived(this, vm);
        vm.restoreVmState(decodePlain(state));
      },
      resume: async () => {
        faults.pass('resume');
        await vm.resume();
      },
      destroy: async () => {
        await device.stop();
        if (this.vm === vm) this.vm = null;
        await vm.destroy();
      },
    };
  }

  #accessTo(device: PassedThroughVf): DeviceAccess {
    const { view } = device;
    const { windows } = this;
    const landed = <T>(read: () => T): T => {
      windows.beforeRead(null);
      return read();
    };
    return {
      parts: {
        ...view,
        bar0: windows.wrapForMain(view.bar0),
        bar3: windows.wrapForMain(view.bar3),
        pf: windows.wrapForMain(view.pf),
        statistics: { ...view.statistics, read: () => landed(() => view.statistics.read()) },
      },
      handle: device.handle,
      opener: PASSTHROUGH_OPENER,
      exits: device.exits,
      wake: { words: view.pages.words, index: BAR_WORD.wake },
    };
  }

  /** A core that sleeps on a word: doorbell, or the tracker's wake word. */
  readonly #wakeWords = new Map<PluginCore, number>();

  #wakeSleepers(): void {
    this.engine?.look();
    const words = this.vm?.vfs[0]?.view.pages.words;
    if (words === undefined) return;
    const wake = Atomics.load(words, BAR_WORD.wake);
    for (const core of this.pluginCores) {
      if (core.hasEnded || this.#wakeWords.get(core) === wake) continue;
      this.#wakeWords.set(core, wake);
      core.core.wake();
    }
  }
}
