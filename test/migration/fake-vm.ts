/**
 * VMs without a guest: memory that a test dirties by hand or by a timer, with both dirty logs, a truth and a call log.
 */
import { realTimers } from '../../src/hardware/clock.js';
import { PAGE_BYTES } from '../../src/hardware/units.js';
import type { DeviceMigrator, HarvestReport, TrackerReport } from '../../src/migration/device-migrator.js';
import type {
  DestinationHost,
  DestinationVm,
  GroundTruth,
  Reservation,
  SourceVm,
} from '../../src/migration/ports.js';
import type { Offer } from '../../src/migration/stream/records.js';

export const clock = realTimers;

export const sharedMemory = (ramBytes: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: ramBytes / 65536, maximum: ramBytes / 65536, shared: true });

export const bytesOf = (memory: WebAssembly.Memory): Uint8Array => new Uint8Array(memory.buffer);

/** Moves the marks of `log` into `into`. */
function drain(log: Uint8Array, into: Uint8Array): number {
  let found = 0;
  for (let page = 0; page < log.length; page++) {
    if (log[page] === 0) continue;
    log[page] = 0;
    into[page] = 1;
    found++;
  }
  return found;
}

export class FakeSourceVm implements SourceVm {
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  readonly calls: string[] = [];
  readonly cpuLog: Uint8Array;
  readonly truth: Uint8Array;
  readonly groundTruth: GroundTruth;
  isRunning = true;
  build = 'plain';
  throttlePercent = 0;
  retired: string | null = null;
  vmState = new Uint8Array([1, 2, 3, 4, 5]);
  offer: SourceVm['offer'];
  /** Called by name before each port call: throws, waits, or counts. */
  hook: (call: string) => void | Promise<void> = () => {};

  constructor(ramBytes: number) {
    this.ramBytes = ramBytes;
    this.memory = sharedMemory(ramBytes);
    this.cpuLog = new Uint8Array(ramBytes / PAGE_BYTES);
    this.truth = new Uint8Array(ramBytes / PAGE_BYTES);
    this.groundTruth = { drain: (into) => drain(this.truth, into) };
    this.offer = {
      vmName: 'a',
      imageName: 'fake',
      imageKey: 'k'.repeat(64),
      ramBytes,
      nicModel: null,
      vfCount: 0,
      machine: new Uint8Array([9]),
    };
  }

  /** The CPU writes a word: the page is marked after the store, as the logging build does. */
  write(at: number, value: number): void {
    new DataView(this.memory.buffer).setUint32(at, value, true);
    if (this.build === 'logging') this.cpuLog[Math.floor(at / PAGE_BYTES)] = 1;
  }

  async pause(): Promise<void> {
    await this.#call('pause');
    this.isRunning = false;
  }

  async resume(): Promise<void> {
    await this.#call('resume');
    this.isRunning = true;
  }

  async useBuild(build: 'plain' | 'logging'): Promise<void> {
    await this.#call(`useBuild ${build}`);
    this.build = build;
  }

  harvestCpuDirty(into: Uint8Array): number {
    this.calls.push('harvestCpuDirty');
    return drain(this.cpuLog, into);
  }

  setThrottle(percent: number): void {
    this.throttlePercent = percent;
  }

  async saveVmState(): Promise<Uint8Array> {
    await this.#call('saveVmState');
    return this.vmState;
  }

  retire(outcome: string): void {
    this.retired = outcome;
  }

  async #call(name: string): Promise<void> {
    this.calls.push(name);
    await this.hook(name);
  }
}

/** A device whose tracker marks what the test says DMA wrote. */
export class FakeDevice implements DeviceMigrator {
  readonly identity = { name: 'fake-tracker', version: '1.2.3', options: { mode: 'scan' } };
  readonly calls: string[] = [];
  readonly marks: Uint8Array;
  state = new Uint8Array([7, 7, 7]);
  restored: Uint8Array | null = null;
  hook: (call: string) => void | Promise<void> = () => {};

  constructor(ramBytes: number) {
    this.marks = new Uint8Array(ramBytes / PAGE_BYTES);
  }

  start = (): Promise<void> => this.#call('start');
  quiesce = (): Promise<void> => this.#call('quiesce');
  announce = (): Promise<void> => this.#call('announce');
  rollback = (): Promise<void> => this.#call('rollback');

  async harvest(into: Uint8Array): Promise<HarvestReport> {
    await this.#call('harvest');
    return { pages: drain(this.marks, into), notes: [] };
  }

  async saveState(): Promise<Uint8Array> {
    await this.#call('saveState');
    return this.state;
  }

  async restoreState(state: Uint8Array): Promise<void> {
    await this.#call('restoreState');
    this.restored = state;
  }

  async stop(): Promise<TrackerReport> {
    this.calls.push('stop');
    const { name, version, options } = this.identity;
    return {
      plugin: name,
      version,
      options,
      coreCpuNs: 0,
      coreAliveNs: 0,
      pagesMarked: 0,
      counters: {},
      notes: [],
    };
  }

  async #call(name: string): Promise<void> {
    this.calls.push(name);
    await this.hook(name);
  }
}

export class FakeDestinationVm implements DestinationVm {
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  readonly device: FakeDevice | null;
  readonly calls: string[] = [];
  vmState: Uint8Array | null = null;
  isRunning = false;
  isDestroyed = false;
  hook: (call: string) => void | Promise<void> = () => {};

  constructor(memory: WebAssembly.Memory, ramBytes: number, device: FakeDevice | null) {
    this.memory = memory;
    this.ramBytes = ramBytes;
    this.device = device;
  }

  async restoreVmState(state: Uint8Array): Promise<void> {
    await this.hook('restoreVmState');
    this.vmState = state;
  }

  async resume(): Promise<void> {
    await this.hook('resume');
    this.isRunning = true;
  }

  async destroy(): Promise<void> {
    this.isDestroyed = true;
  }
}

export class FakeHost implements DestinationHost {
  vm: FakeDestinationVm | null = null;
  offer: Offer | null = null;
  released = 0;
  readonly #withDevice: boolean;
  refusal: Error | null = null;
  hook: (call: string) => void | Promise<void> = () => {};

  constructor(withDevice = false) {
    this.#withDevice = withDevice;
  }

  async reserve(offer: Offer): Promise<Reservation> {
    await this.hook('reserve');
    if (this.refusal) throw this.refusal;
    this.offer = offer;
    const memory = sharedMemory(offer.ramBytes);
    const vm = new FakeDestinationVm(
      memory,
      offer.ramBytes,
      this.#withDevice ? new FakeDevice(offer.ramBytes) : null,
    );
    this.vm = vm;
    vm.hook = this.hook;
    if (vm.device) vm.device.hook = (call) => this.hook(`device ${call}`);
    return {
      memory,
      ramBytes: offer.ramBytes,
      prepared: Promise.resolve(this.hook('prepare')).then(() => vm),
      release: async () => {
        this.released++;
        await vm.destroy();
      },
    };
  }
}

/** Page numbers where two memories differ. */
export function differingPages(a: WebAssembly.Memory, b: WebAssembly.Memory): number[] {
  const left = Buffer.from(a.buffer);
  const right = Buffer.from(b.buffer);
  const pages: number[] = [];
  for (let at = 0; at < left.length; at += PAGE_BYTES) {
    if (left.compare(right, at, at + PAGE_BYTES, at, at + PAGE_BYTES) !== 0) pages.push(at / PAGE_BYTES);
  }
  return pages;
}
