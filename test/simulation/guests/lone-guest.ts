/** One simulated host, a guest in it, and a peer at the other end of its card's cable. No migration. */
import type { LoadedImage } from '../../../src/guest/loaded-image.js';
import type { FrameSink, Wire, WireStats } from '../../../src/hardware/wire/wire.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../../src/hypervisor/host-threads.js';
import { Nic } from '../../../src/hypervisor/nic.js';
import { VirtualMachine } from '../../../src/hypervisor/vm.js';
import { layoutFor } from '../../../src/machine/layout.js';
import { createMemory } from '../../../src/machine/memory.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import type { HostTime } from '../../../src/simulation/clockwork/host-time.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import { checkFrame, writeNumberedFrame } from '../../../src/simulation/guests/frame-format.js';
import type { SimulatedVcpu, SimulatedVcpuOptions } from '../../../src/simulation/guests/vcpu-options.js';
import type { EngineCore } from '../../../src/simulation/world/engine-core.js';
import { SimulatedThreads } from '../../../src/simulation/world/threads.js';

const GUEST_MAC = '52:54:00:00:00:01';
const MAC = Uint8Array.of(0x52, 0x54, 0, 0, 0, 1);
const PEER = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0x99);
const MS = 1_000_000;

/** Sends numbered frames now and then, and looks at what comes back. */
export class NumberedPeer implements Wire {
  readonly linkUp = true;
  onWake: (() => void) | null = null;
  readonly stats: WireStats = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    txDropped: 0,
    rxDropped: 0,
  };
  readonly damaged: string[] = [];
  whole = 0;
  foreign = 0;
  isSending = true;
  readonly #frame = new Uint8Array(2048);
  readonly #choices: Choices;
  readonly #scheduler: Scheduler;
  readonly #host: HostTime;
  #waiting = 0;
  #number = 0;

  constructor(scheduler: Scheduler, choices: Choices, host: HostTime) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#host = host;
    this.#later();
  }

  receive(sink: FrameSink, budget: number): number {
    let taken = 0;
    for (; taken < budget && this.#waiting > 0; taken++) {
      const bytes = this.#choices.chance(0.3) ? 60 : this.#choices.between(60, 1514);
      writeNumberedFrame(this.#frame, {
        shape: this.#choices.pick(['raw', 'ipv4', 'udp'] as const),
        target: MAC,
        source: PEER,
        stream: 0,
        number: this.#number,
        bytes,
        flow: this.#choices.int(8),
      });
      if (!sink(this.#frame, 0, bytes)) break;
      this.#waiting--;
      this.#number++;
      this.stats.rxFrames++;
    }
    return taken;
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    this.stats.txFrames++;
    const verdict = checkFrame(bytes.subarray(offset, offset + length), length, true);
    if (verdict.kind === 'whole') this.whole++;
    else if (verdict.kind === 'foreign') this.foreign++;
    else
      this.damaged.push(`stream ${verdict.stream.toString(16)} number ${verdict.number} byte ${verdict.at}`);
    return true;
  }

  flush(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }

  #later(): void {
    this.#scheduler.atHardware(this.#choices.int(60_000), 'frames', () => this.#come(), this.#host);
  }

  #come(): void {
    if (this.isSending) this.#waiting = Math.min(200, this.#waiting + this.#choices.between(1, 24));
    this.onWake?.();
    this.#later();
  }
}

export type StartVcpu = (
  boot: VcpuThreadBoot,
  events: VcpuThreadEvents,
  options: SimulatedVcpuOptions,
) => SimulatedVcpu;

export interface LoneGuestOptions {
  readonly seed: number;
  readonly image: LoadedImage;
  readonly commandLine: string;
  readonly startVcpu: StartVcpu;
  readonly keepLog?: boolean;
}

export class LoneGuest {
  readonly scheduler: Scheduler;
  readonly log: EventLog;
  readonly peer: NumberedPeer;
  readonly console: string[] = [];
  readonly #options: LoneGuestOptions;
  readonly #threads: SimulatedThreads;
  #engine: EngineCore | null = null;
  vm: VirtualMachine | null = null;

  constructor(options: LoneGuestOptions) {
    this.#options = options;
    const choices = new Choices(options.seed);
    this.log = new EventLog({ keep: options.keepLog === true ? 'all' : 'none' });
    this.scheduler = new Scheduler({
      choices,
      log: this.log,
      limits: { maxEvents: 50_000_000, maxVirtualMs: 60_000 },
    });
    const { scheduler } = this;
    const host = scheduler.host('host');
    this.peer = new NumberedPeer(scheduler, choices.fork('peer'), host);
    this.#threads = new SimulatedThreads({
      scheduler,
      choices,
      host,
      speeds: { engine: 1, vcpu: 1, tracker: 1, preemptChance: 0.01, preemptNs: 50_000 },
      wire: this.peer,
      wait: () => {
        throw new Error('the main thread of this test does not wait');
      },
      onEngine: (engine) => {
        this.#engine = engine;
      },
      startVcpu: (boot, events) =>
        options.startVcpu(boot, events, {
          scheduler,
          choices: choices.fork('vcpu'),
          host,
          beforeRead: () => this.#engine?.landAll(),
          afterWrite: () => this.#engine?.look(),
        }),
    });
    scheduler.afterEach(() => this.#engine?.look());
  }

  async boot(): Promise<void> {
    await this.until(this.#boot());
  }

  /** Lets so much virtual time pass. */
  async pass(ms: number): Promise<void> {
    const endNs = this.scheduler.nowNs() + ms * MS;
    await this.scheduler.run(() => this.scheduler.nowNs() >= endNs);
  }

  /** Lets time pass until the promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => {});
    await this.scheduler.run(() => settled);
    return await watched;
  }

  get ram(): Uint8Array {
    return new Uint8Array(this.vm!.memory.buffer, 0, this.vm!.layout.ramBytes);
  }

  async #boot(): Promise<void> {
    const { image, commandLine } = this.#options;
    const nic = await Nic.open({ wire: 'sim', vfCount: 1, linkSpeedMbps: 10_000, threads: this.#threads });
    this.vm = await VirtualMachine.create({
      name: 'guest',
      image,
      commandLine,
      memory: createMemory(layoutFor(image.ramBytes)),
      vfs: [{ nic, assignment: { mac: GUEST_MAC } }],
      threads: this.#threads,
      onEvent: (event) => {
        if (event.kind === 'console') this.console.push(event.line);
      },
    });
    this.vm.start();
  }
}
