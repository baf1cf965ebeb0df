/**
 * A simulated host's threads: engine and vCPU are virtual cores, and what the main thread waits for is virtual too.
 */
import type { Random, WordWait } from '../../hardware/clock.js';
import type { Wire } from '../../hardware/wire/wire.js';
import type {
  EngineEvents,
  EngineThread,
  HostThreads,
  VcpuThread,
  VcpuThreadBoot,
  VcpuThreadEvents,
} from '../../hypervisor/host-threads.js';
import type { NicWorkerData } from '../../hypervisor/nic-messages.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { EngineCore } from './engine-core.js';
import type { CoreSpeeds } from './plan.js';

export interface SimulatedThreadsOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: HostTime;
  readonly speeds: CoreSpeeds;
  readonly wire: Wire;
  readonly wait: WordWait;
  readonly onEngine: (engine: EngineCore) => void;
  readonly startVcpu: (boot: VcpuThreadBoot, events: VcpuThreadEvents) => VcpuThread;
}

export class SimulatedThreads implements HostThreads {
  readonly timers: HostTime;
  readonly random: Random;
  readonly wait: WordWait;
  readonly #o: SimulatedThreadsOptions;

  constructor(options: SimulatedThreadsOptions) {
    this.#o = options;
    this.timers = options.host;
    this.random = options.choices.fork('made-up addresses');
    this.wait = options.wait;
  }

  startEngine(data: NicWorkerData, events: EngineEvents): EngineThread {
    const { scheduler, choices, host, speeds, wire, onEngine } = this.#o;
    const engine = new EngineCore({
      scheduler,
      choices: choices.fork('engine'),
      host,
      wire,
      data,
      events,
      speeds,
    });
    onEngine(engine);
    return engine;
  }

  startVcpu(boot: VcpuThreadBoot, events: VcpuThreadEvents): VcpuThread {
    return this.#o.startVcpu(boot, events);
  }

  whenChanged(words: Int32Array, index: number, seen: number): Promise<void> {
    return this.#o.scheduler.whenChanged(words, index, seen, this.#o.host);
  }

  async compile(wasm: Uint8Array): Promise<unknown> {
    // a scripted guest has no WebAssembly
    if (wasm.length === 0) return null;
    return await this.#o.scheduler.external(WebAssembly.compile(wasm as BufferSource));
  }
}
