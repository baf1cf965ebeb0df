/** What the world needs of a kind of guest, the mean one or a built image, and of the traffic that it is under. */
import type { LoadedImage } from '../../guest/loaded-image.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../hypervisor/host-threads.js';
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { SimulatedVcpu } from '../guests/vcpu-options.js';
import type { CoreSpeeds } from './plan.js';
import type { SimHost } from './sim-host.js';

export interface GuestEnv {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: SimHost;
  readonly speeds: CoreSpeeds;
}

/** Traffic between the network and the guest, while a run lasts. */
export interface Traffic {
  start(): void;
  /** Nothing new is sent; what is on its way arrives. */
  stop(): void;
  /** What came back wrong, in sentences. */
  complaints(): readonly string[];
  readonly sent: number;
  /** Arrivals that were right: grows while the guest lives. */
  readonly answered: number;
}

export interface GuestKind {
  readonly image: LoadedImage;
  readonly commandLine: string;
  startVcpu(env: GuestEnv, boot: VcpuThreadBoot, events: VcpuThreadEvents): SimulatedVcpu;
  /** What the guest itself found wrong, read out of its RAM. */
  complaints(memory: WebAssembly.Memory): readonly string[];
  /** Grows while frames get to the guest, or to its peers from it. */
  progress(memory: WebAssembly.Memory, traffic: Traffic): number;
  /** What it has done so far, by coverage key. */
  deeds(memory: WebAssembly.Memory): Readonly<Record<string, number>>;
}
