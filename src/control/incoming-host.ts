/**
 * This process as a destination: decides on offers, and builds the VM while its pages already arrive.
 */
import { freemem } from 'node:os';
import { VirtualMachine } from '../hypervisor/vm.js';
import { MAX_RAM_BYTES, MIN_RAM_BYTES, WASM_PAGE_BYTES } from '../machine/layout.js';
import { MigrationRefusedError } from '../migration/errors.js';
import type { DestinationHost, DestinationVm, Reservation } from '../migration/ports.js';
import type { Offer } from '../migration/stream/records.js';
import type { LoadedPlugin } from '../plugin/loader.js';
import { deviceOf, VIF_PLUGIN } from './device-of.js';
import { type FoundImage, findImage } from './image-finder.js';
import { decodeMachine } from './offered-machine.js';
import { decodePlain } from './plain-cbor.js';
import type { PluginCatalog } from './plugin-catalog.js';
import { NIC_MODEL } from './source-port.js';
import type { VifRequest } from './vifs.js';
import type { NetRequest, VfRequest, Vmm } from './vmm.js';

export interface IncomingOptions {
  readonly vmm: Vmm;
  readonly catalog: PluginCatalog;
  /** One for each VF that the guest may bring, and for each paravirtual NIC. */
  readonly vfs: readonly VfRequest[];
  readonly nets: readonly NetRequest[];
  readonly vifs: readonly VifRequest[];
  /** More RAM than this is refused. */
  readonly maxRamBytes: number;
}

export class IncomingHost implements DestinationHost {
  readonly #o: IncomingOptions;

  constructor(options: IncomingOptions) {
    this.#o = options;
  }

  async reserve(offer: Offer): Promise<Reservation> {
    this.#checkRoom(offer);
    const plugin = await this.#plugin(offer);
    const image = await findImage(offer.imageName, offer.imageKey, offer.ramBytes);
    if (image === null) {
      throw new MigrationRefusedError(
        'image',
        `image ${offer.imageName} (build ${offer.imageKey.slice(0, 12)}) is not on this host, or other tools built it here`,
      );
    }
    const memory = image.createMemory();
    const prepared = this.#build(offer, memory, image, plugin);
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

  #checkRoom(offer: Offer): void {
    const { vmm, vfs, nets, vifs, maxRamBytes } = this.#o;
    const { ramBytes, vfCount, nicModel } = offer;
    if (vmm.vm !== null) throw new MigrationRefusedError('busy', `VMM '${vmm.name}' has a VM already`);
    if (ramBytes < MIN_RAM_BYTES || ramBytes > MAX_RAM_BYTES || ramBytes % WASM_PAGE_BYTES !== 0) {
      throw new MigrationRefusedError('memory', `${ramBytes} bytes is no guest's RAM`);
    }
    const roomBytes = Math.min(maxRamBytes, freemem());
    if (ramBytes > roomBytes) {
      throw new MigrationRefusedError(
        'memory',
        `the guest has ${ramBytes} bytes of RAM; there is room for ${roomBytes}`,
      );
    }
    if (nicModel !== null && nicModel !== NIC_MODEL) {
      throw new MigrationRefusedError('nic', `the guest's NIC is a ${nicModel}; this host has ${NIC_MODEL}`);
    }
    if (vfCount > vfs.length) {
      throw new MigrationRefusedError(
        'no-free-vf',
        `the guest has ${vfCount} VF(s); ${vfs.length} are kept here (--vf)`,
      );
    }
    const { netCount, vifCount } = decodeMachine(offer.machine);
    if (netCount - vifCount > nets.length) {
      throw new MigrationRefusedError(
        'nic',
        `the guest has ${netCount - vifCount} paravirtual NIC(s); ${nets.length} are kept here (--net)`,
      );
    }
    if (vifCount > vifs.length) {
      throw new MigrationRefusedError(
        'nic',
        `the guest has ${vifCount} virtual interface(s); ${vifs.length} are kept here (--vif)`,
      );
    }
  }

  async #plugin(offer: Offer): Promise<LoadedPlugin | null> {
    if (offer.plugin === null) {
      if (offer.vfCount > 0)
        throw new MigrationRefusedError('plugin', 'a guest with a VF comes with no plugin to restore it');
      return null;
    }
    const { name, version } = offer.plugin;
    const plugin = await this.#o.catalog.find(name);
    if (plugin === null)
      throw new MigrationRefusedError('plugin', `plugin ${name} is not on this host (srvm plugins lists)`);
    if (plugin.definition.version !== version) {
      throw new MigrationRefusedError(
        'plugin',
        `plugin ${name} is version ${plugin.definition.version} here and ${version} at the source`,
      );
    }
    return plugin;
  }

  async #build(
    offer: Offer,
    memory: WebAssembly.Memory,
    image: FoundImage,
    plugin: LoadedPlugin | null,
  ): Promise<DestinationVm> {
    const { vmm, vfs, nets, vifs, catalog } = this.#o;
    const { netCount, vifCount } = decodeMachine(offer.machine);
    const isOfVfs = offer.vfCount > 0;
    const vifPlugin = vifCount === 0 ? null : isOfVfs ? await catalog.find(VIF_PLUGIN) : plugin;
    if (vifPlugin === null && vifCount > 0)
      throw new MigrationRefusedError('plugin', `plugin ${VIF_PLUGIN} is not on this host`);
    const vm = await VirtualMachine.create({
      name: vmm.name,
      image: await image.load(),
      memory,
      incoming: true,
      vfs: await vmm.openVfs(vfs.slice(0, offer.vfCount)),
      nets: [
        ...(await vmm.openNets(nets.slice(0, netCount - vifCount))),
        ...(await vmm.vifs.open(vifs.slice(0, vifCount))),
      ],
      iommuDirtyBits: vmm.iommuDirtyBits,
      interrupts: vmm.interrupts,
    });
    vmm.adopt(vm);
    const device = deviceOf(vm, {
      plugin: isOfVfs ? plugin : null,
      options: offer.plugin?.options ?? {},
      vifPlugin,
      vifOptions: isOfVfs ? {} : (offer.plugin?.options ?? {}),
    });
    return {
      memory,
      ramBytes: offer.ramBytes,
      device,
      restoreVmState: async (state) => vm.restoreVmState(decodePlain(state)),
      resume: async () => vm.resume(),
      destroy: async () => {
        await device?.stop();
        vmm.disown(vm);
        await vm.destroy();
      },
    };
  }
}
