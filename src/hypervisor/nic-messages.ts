/** What the main thread and a NIC's worker say to each other. */
import type { DomainHandle } from '../hardware/iommu/handle.js';
import type { NicHandle } from '../hardware/nic/shared.js';
import type { WireStats } from '../hardware/wire/wire.js';
import type { InterruptRoute } from './interrupt-remap.js';
import type { WorkerCommand, WorkerReply } from './worker-messages.js';

/**
 * A wire that a module makes in the worker: `module` is its URL, `make` the name of a function in it that is called with
 * `data` and returns a Wire. For generators and other peers that live in the NIC's own thread.
 */
export interface WireModule {
  readonly module: string;
  readonly make: string;
  readonly data?: unknown;
}

/** Text for openWire, or a module's wire. */
export type WireSpec = string | WireModule;

export interface NicWorkerData {
  readonly nic: NicHandle;
  readonly wire: WireSpec;
  readonly routes: readonly InterruptRoute[];
}

export type NicCommand = WorkerCommand<NicOwnCommand>;

export type NicOwnCommand =
  | {
      readonly kind: 'attach';
      readonly id: number;
      readonly pool: number;
      readonly domain: DomainHandle;
      readonly route: InterruptRoute | null;
    }
  | {
      readonly kind: 'detach';
      readonly id: number;
      readonly pool: number;
      readonly requester: number | null;
    };

/** What a NIC's worker did so far. */
export interface NicCoreStats {
  readonly wire: WireStats;
  /** null where the kernel does not tell a thread's CPU time. */
  readonly cpuNs: number | null;
  readonly aliveNs: number;
  /** Steps that found work, and times it went to sleep. */
  readonly busySteps: number;
  readonly sleeps: number;
  /** Interrupt messages that no route took. */
  readonly blockedMessages: number;
}

export type NicReply = WorkerReply<NicCoreStats>;
