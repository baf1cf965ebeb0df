/**
 * The self-virtualizing devices of a VMM process, one for each wire that virtual interfaces (VIFs) were asked for on, and the
 * management interface for them: x-srvm-vif-create, -set, -remove, x-srvm-query-vifs.
 */
import { randomBytes } from 'node:crypto';
import { randomMac } from '../hypervisor/nic.js';
import {
  DEFAULT_FILTERS,
  SvNic,
  type Vif,
  VifError,
  type VifFilters,
  type VifSettings,
} from '../hypervisor/sv-nic.js';
import type { VmNet } from '../hypervisor/vm.js';
import { isJsonObject, type JsonObject, QmpError } from './qmp-protocol.js';

/** A VIF as the user asked for it. */
export interface VifRequest {
  readonly name?: string;
  readonly mac?: string;
  readonly wire?: string;
  readonly pcap?: string;
  /** Of the device: what is asked for first on a wire holds. Default 1. */
  readonly cores?: number;
  readonly rateMbps?: number;
  readonly filters?: Partial<VifFilters>;
}

const random = { nextU32: () => randomBytes(4).readUInt32LE() };

export class VifRoom {
  readonly #devices = new Map<string, SvNic>();
  readonly #frameBytes: number | undefined;

  /** @param frameBytes longest frame of the devices' ports, without its checksum */
  constructor(frameBytes: number | undefined) {
    this.#frameBytes = frameBytes;
  }

  /** A VIF for each: one of that name that no guest has, or a new one. Their devices are opened. */
  async open(requests: readonly VifRequest[]): Promise<VmNet[]> {
    const opened: VmNet[] = [];
    for (const [index, request] of requests.entries()) {
      const name = request.name ?? `vif${index}`;
      const device = await this.#device(request);
      const free = device.listVifs().find((vif) => vif.name === name && !vif.attached);
      const vif = free === undefined ? this.#create(device, { ...request, name }) : device.vif(name);
      if (free !== undefined && request.mac !== undefined) vif.adoptAddress(request.mac);
      opened.push({ domain: vif, mac: vif.mac });
    }
    return opened;
  }

  #create(device: SvNic, request: VifRequest & { name: string }): Vif {
    if (this.#find(request.name) !== undefined) throw new VifError(`VIF ${request.name} is there already`);
    return device.createVif({
      name: request.name,
      mac: request.mac ?? randomMac(random),
      rateMbps: request.rateMbps ?? 0,
      filters: { ...DEFAULT_FILTERS, ...request.filters },
    });
  }

  async #device({ wire = 'null', pcap, cores = 1 }: VifRequest): Promise<SvNic> {
    const spec = pcap === undefined ? wire : `pcap:${pcap},${wire}`;
    const known = this.#devices.get(spec);
    if (known !== undefined) return known;
    const device = await SvNic.open({
      wire: spec,
      cores,
      ...(this.#frameBytes === undefined ? {} : { frameBytes: this.#frameBytes }),
      onFailure: (error) => process.stderr.write(`srvm: ${error.message}\n`),
    });
    this.#devices.set(spec, device);
    return device;
  }

  get devices(): ReadonlyMap<string, SvNic> {
    return this.#devices;
  }

  #find(name: string): SvNic | undefined {
    return [...this.#devices.values()].find((device) => device.listVifs().some((vif) => vif.name === name));
  }

  #of(name: string): SvNic {
    const device = this.#find(name);
    if (device === undefined) throw new VifError(`there is no VIF ${name} here (srvm vif list)`);
    return device;
  }

  async create(args: JsonObject): Promise<object> {
    const { name, mac, wire, cores } = args;
    if (typeof name !== 'string') throw new QmpError('GenericError', "Parameter 'name' is missing");
    if (this.#find(name) !== undefined) throw new VifError(`VIF ${name} is there already`);
    const [net] = await this.open([
      {
        name,
        ...(typeof mac === 'string' ? { mac } : {}),
        ...(typeof wire === 'string' ? { wire } : {}),
        ...(typeof cores === 'number' ? { cores } : {}),
        ...settingsOf(args, DEFAULT_FILTERS),
      },
    ]);
    return (net!.domain as Vif).info();
  }

  set(args: JsonObject): object {
    const name = nameOf(args);
    const device = this.#of(name);
    return device.setVif(name, settingsOf(args, device.vif(name).settings.filters));
  }

  remove(args: JsonObject): object {
    const name = nameOf(args);
    this.#of(name).removeVif(name);
    return {};
  }

  list(): object[] {
    return [...this.#devices].flatMap(([wire, device]) =>
      device.listVifs().map((vif) => ({ wire, cores: device.cores, ...vif })),
    );
  }

  async stats(): Promise<object[]> {
    const stats = [];
    for (const [spec, device] of this.#devices) stats.push({ spec, cores: await device.stats() });
    return stats;
  }

  async close(): Promise<void> {
    for (const device of this.#devices.values()) await device.close();
    this.#devices.clear();
  }
}

function nameOf({ name }: JsonObject): string {
  if (typeof name !== 'string')
    throw new QmpError('GenericError', "Parameter 'name' is missing or no string");
  return name;
}

/** What is named is changed, the rest stays as it is. @throws QmpError */
function settingsOf(args: JsonObject, before: VifFilters): Partial<VifSettings> {
  const { rate, filters } = args;
  if (rate !== undefined && typeof rate !== 'number')
    throw new QmpError('GenericError', "Parameter 'rate' must be a number of Mb/s");
  if (filters !== undefined && !isJsonObject(filters))
    throw new QmpError('GenericError', "Parameter 'filters' must be an object");
  return {
    ...(rate === undefined ? {} : { rateMbps: rate }),
    ...(filters === undefined ? {} : { filters: filtersOf(filters, before) }),
  };
}

function filtersOf(change: JsonObject, before: VifFilters): VifFilters {
  const flag = (name: 'spoofCheck' | 'promiscuous' | 'multicast'): boolean => {
    const value = change[name] ?? before[name];
    if (typeof value === 'boolean') return value;
    throw new QmpError('GenericError', `Parameter 'filters.${name}' must be true or false`);
  };
  const vlans = change['vlans'] === undefined ? before.vlans : change['vlans'];
  if (vlans !== null && !(Array.isArray(vlans) && vlans.every((vid) => typeof vid === 'number')))
    throw new QmpError(
      'GenericError',
      "Parameter 'filters.vlans' must be a list of numbers, or null for all",
    );
  return {
    spoofCheck: flag('spoofCheck'),
    promiscuous: flag('promiscuous'),
    multicast: flag('multicast'),
    vlans: vlans as number[] | null,
  };
}
