/** What the world needs of a kind of guest, the mean one or a built image. */
import type { LoadedImage } from '../../guest/loaded-image.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../hypervisor/host-threads.js';
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { CoverageCounter } from './coverage-counter.js';
import type { SimHost, SimulatedVcpu } from './sim-host.js';

export interface GuestEnv {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: SimHost;
  readonly speed: number;
  readonly coverage: CoverageCounter;
}

/** Traffic between the network and the guest, while a run lasts. */
export interface Traffic {
  start(): void;
  /** Nothing new is sent; what is on its way arrives. */
  stop(): void;
  /** What came back wrong, in sentences. */
  complaints(): readonly string[];
  /** Answers that came back right: grows while the guest lives. */
  readonly answered: number;
  readonly sent: number;
}

export interface GuestKind {
  readonly image: LoadedImage;
  readonly commandLine: string;
  startVcpu(env: GuestEnv, boot: VcpuThreadBoot, events: VcpuThreadEvents): SimulatedVcpu;
  /** What the guest itself found wrong, read out of its RAM. */
  complaints(memory: WebAssembly.Memory): readonly string[];
  /** Grows while the guest gets frames; null where that cannot be seen. */
  received(memory: WebAssembly.Memory): number;
}
