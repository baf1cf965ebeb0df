/**
 * A virtual interface as plugins see it: the guest's RAM, the function's registers, and the device's own help with its
 * migration. What only a VF has (a PF, a mailbox, shadow pages) is not there, and says so when it is asked for.
 */
import type { ParavirtualNet } from '../hypervisor/paravirtual-net.js';
import type { Vif } from '../hypervisor/sv-nic.js';
import type { DeviceMigrator } from '../migration/device-migrator.js';
import type { DeviceMigratorOptions } from './create.js';
import type { MigrationAssist } from './definition.js';
import type { DeviceAccess, DeviceParts } from './device-access.js';
import type { StateFields, StateValue } from './device-view.js';
import { DeviceStateError } from './errors.js';
import { PluginMigrator } from './host.js';
import { resolveOptions } from './loader.js';
import { FieldReader } from './vf82599/fields.js';

const VIF_STATE_VERSION = 1;
const MAX_RATE_MBPS = 1_000_000;

/** @throws PluginOptionError */
export function createVifMigrator(
  options: Omit<DeviceMigratorOptions, 'device'> & {
    readonly net: ParavirtualNet;
    readonly vif: Vif;
    readonly memory: SharedArrayBuffer;
    readonly ramBytes: number;
  },
): DeviceMigrator {
  const { plugin, net, vif, memory, ramBytes, limits, startCore, onNote } = options;
  return new PluginMigrator({
    definition: plugin.definition,
    options: resolveOptions(plugin.definition, options.options ?? {}),
    access: accessTo(net, vif, memory, ramBytes),
    timers: vif.timers,
    ...(limits && { limits }),
    ...(startCore && { startCore }),
    ...(onNote && { onNote }),
  });
}

/** What a virtual interface does not have. */
function missing(what: string): never {
  throw new Error(`a virtual interface has no ${what}: use DeviceContext.assist`);
}

const noWindow = (what: string): { read32(offset: number): number; write32(offset: number): void } => ({
  read32: () => missing(what),
  write32: () => missing(what),
});

function accessTo(net: ParavirtualNet, vif: Vif, memory: SharedArrayBuffer, ramBytes: number): DeviceAccess {
  const parts: DeviceParts = {
    vf: 0,
    ram: {
      bytes: ramBytes,
      u8: new Uint8Array(memory, 0, ramBytes),
      i32: new Int32Array(memory, 0, ramBytes / 4),
    },
    bar0: noWindow('registers of an 82599'),
    bar3: noWindow('MSI-X table of an 82599'),
    pf: noWindow('physical function'),
    pages: {
      count: 0,
      mappingOf: () => missing('page mappings'),
      map: () => missing('page mappings'),
      shadow: () => missing('page mappings'),
      turnStarted: () => {},
      turnEnded: () => {},
    },
    clock: vif.timers,
    config: noWindow('configuration space of an 82599'),
    scratch: { iova: 0, bytes: 0, i32: new Int32Array(0) },
    policy: {
      export: () => settingsOf(vif),
      import: (policy) => restoreSettings(vif, policy),
      whileSending: (action) => action(),
    },
    statistics: { read: () => missing('82599 counters'), continueFrom: () => missing('82599 counters') },
    iommuDirty: null,
    assist: assistOf(net, vif, ramBytes),
    hotplug: net.hotplug,
    guest: {
      lastMessage: () => null,
      request: async () => missing('mailbox'),
    },
    raiseInterrupt: () => missing('vectors that a hypervisor raises'),
    announce: () => net.announce(),
  };
  return {
    parts,
    handle: null,
    opener: new URL('./vif-access.js', import.meta.url),
    exits: { install: () => missing('trapped pages') },
    wake: { words: new Int32Array(new SharedArrayBuffer(4)), index: 0 },
  };
}

function assistOf(net: ParavirtualNet, vif: Vif, ramBytes: number): MigrationAssist {
  const found = new Uint8Array(ramBytes / 4096);
  return {
    setLogging: (on) => net.setLogging(on),
    collect: (marks) => {
      const pages = net.harvest(found);
      if (pages === 0) return 0;
      for (let page = 0; page < found.length; page++) if (found[page] !== 0) marks.mark(page);
      found.fill(0);
      return pages;
    },
    setRunning: async (on) => {
      net.setReceiving(on);
      await net.serve(on);
    },
    save: async () => ({
      version: VIF_STATE_VERSION,
      function: net.save() as unknown as StateValue,
      settings: settingsOf(vif),
    }),
    restore: async (state) => {
      const fields = new FieldReader(state);
      const version = fields.integer('version', 0xffff);
      if (version !== VIF_STATE_VERSION)
        throw new DeviceStateError(
          `the VIF's state: version ${version}, this host reads ${VIF_STATE_VERSION}`,
        );
      restoreSettings(vif, fields.value('settings'));
      net.restore(fields.value('function'));
    },
  };
}

function settingsOf(vif: Vif): StateFields {
  const { rateMbps, filters } = vif.settings;
  const { spoofCheck, promiscuous, multicast, vlans } = filters;
  return {
    mac: vif.mac,
    rateMbps,
    spoofCheck,
    promiscuous,
    multicast,
    vlans: vlans === null ? null : [...vlans],
  };
}

/** @throws DeviceStateError, VifError */
function restoreSettings(vif: Vif, value: StateValue): void {
  const fields = new FieldReader(value, 'settings');
  const mac = fields.value('mac');
  if (typeof mac !== 'string') throw new DeviceStateError("the VIF's state: its address is no text");
  const vlans = fields.value('vlans');
  if (vlans !== null && !(Array.isArray(vlans) && vlans.length <= 4096))
    throw new DeviceStateError("the VIF's state: vlans is neither a list nor null");
  vif.adoptAddress(mac);
  vif.configure({
    rateMbps: fields.integer('rateMbps', MAX_RATE_MBPS),
    filters: {
      spoofCheck: fields.flag('spoofCheck'),
      promiscuous: fields.flag('promiscuous'),
      multicast: fields.flag('multicast'),
      vlans: vlans as number[] | null,
    },
  });
}
