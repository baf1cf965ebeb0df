/**
 * A VM that does one thing: it writes to pages of its working set at a rate. Both ends of a migration in virtual time, for
 * figures; it has no device.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import type { DestinationHost, Reservation, SourceVm } from '../../migration/ports.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';

export interface DirtyingOptions {
  readonly ramBytes: number;
  /** Every page that holds data; writes go to them alone. */
  readonly workingSetPages: number;
  readonly pagesPerSecond: number;
  /** Of one write: what it takes from the vCPU. */
  readonly writeNs: number;
}

const STEP_NS = 100_000;

const newMemory = (ramBytes: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: ramBytes / 65536, maximum: ramBytes / 65536, shared: true });

export class DirtyingVm implements SourceVm {
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  readonly offer: SourceVm['offer'];
  readonly groundTruth = null;
  isRunning = true;
  readonly #log: Uint8Array;
  readonly #bytes: Uint8Array;
  readonly #o: DirtyingOptions;
  readonly #choices: Choices;
  #throttlePercent = 0;
  #owed = 0;

  constructor(scheduler: Scheduler, host: HostTime, choices: Choices, options: DirtyingOptions) {
    const { ramBytes, workingSetPages } = options;
    this.#o = options;
    this.#choices = choices;
    this.ramBytes = ramBytes;
    this.memory = newMemory(ramBytes);
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#log = new Uint8Array(ramBytes / PAGE_BYTES);
    for (let page = 0; page < workingSetPages; page++) this.#bytes[page * PAGE_BYTES] = 1;
    this.offer = {
      vmName: 'figure',
      imageName: 'none',
      imageKey: '0'.repeat(64),
      ramBytes,
      nicModel: null,
      vfCount: 0,
      machine: new Uint8Array(0),
    };
    const core = scheduler.core({ name: 'vcpu', host, kind: 'vcpu', speed: 1, step: () => this.#run() });
    core.wake();
  }

  async pause(): Promise<void> {
    this.isRunning = false;
  }

  async resume(): Promise<void> {
    this.isRunning = true;
  }

  async useBuild(): Promise<void> {
    this.#log.fill(0);
  }

  harvestCpuDirty(into: Uint8Array): number {
    let found = 0;
    for (let page = this.#log.indexOf(1); page >= 0; page = this.#log.indexOf(1, page + 1)) {
      into[page] = 1;
      found++;
    }
    this.#log.fill(0);
    return found;
  }

  setThrottle(percent: number): void {
    this.#throttlePercent = percent;
  }

  async saveVmState(): Promise<Uint8Array> {
    return new Uint8Array(64);
  }

  retire(): void {
    this.isRunning = false;
  }

  #run() {
    if (!this.isRunning) return { costNs: 1, againNs: STEP_NS };
    const { pagesPerSecond, workingSetPages, writeNs } = this.#o;
    this.#owed += (pagesPerSecond * STEP_NS * (1 - this.#throttlePercent / 100)) / 1e9;
    const writes = Math.floor(this.#owed);
    this.#owed -= writes;
    for (let i = 0; i < writes; i++) {
      const page = this.#choices.int(workingSetPages);
      this.#bytes[page * PAGE_BYTES + 8]!++;
      this.#log[page] = 1;
    }
    const costNs = 1 + writes * writeNs;
    return { costNs, againNs: Math.max(0, STEP_NS - costNs) };
  }
}

/** Takes any guest that has no device. */
export class EmptyHost implements DestinationHost {
  async reserve({ ramBytes }: { readonly ramBytes: number }): Promise<Reservation> {
    const memory = newMemory(ramBytes);
    const nothing = async (): Promise<void> => {};
    const vm = { memory, ramBytes, device: null, restoreVmState: nothing, resume: nothing, destroy: nothing };
    return { memory, ramBytes, prepared: Promise.resolve(vm), release: nothing };
  }
}
