/** What the main thread and a driver domain's worker say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { NicHandle } from '../hardware/nic/shared.js';
import type { DeviceStats, VirtioNetHandle } from '../virtio/device-words.js';
import type { InterruptRoute, InterruptTarget } from './interrupt-remap.js';
import type { WorkerCommand, WorkerReply } from './worker-messages.js';

export interface DriverDomainWorkerData {
  /** Transferred. */
  readonly port: MessagePort;
  readonly nic: NicHandle;
  readonly vf: number;
  /** Where messages go that an access of this VF can fire. */
  readonly routes: readonly InterruptRoute[];
  readonly memory: SharedArrayBuffer;
  readonly bell: SharedArrayBuffer;
  /** Longest frame without its checksum. */
  readonly frameBytes: number;
}

export type DriverDomainCommand = WorkerCommand<DriverDomainOwnCommand>;

export type DriverDomainOwnCommand =
  | {
      readonly kind: 'attach';
      readonly id: number;
      readonly device: number;
      readonly handle: VirtioNetHandle;
      readonly target: InterruptTarget;
      /** Whether the device is served at once. */
      readonly serving: boolean;
    }
  | { readonly kind: 'detach'; readonly id: number; readonly device: number }
  /** The answer comes when the device is served, or is not any more. */
  | { readonly kind: 'serve'; readonly id: number; readonly device: number; readonly on: boolean }
  /** Answered between two turns: what was changed in shared words before is seen from then on. */
  | { readonly kind: 'sync'; readonly id: number };

/** What a driver domain did so far. */
export interface DriverDomainStats {
  /** Thread CPU time; null where the kernel does not tell. */
  readonly cpuNs: number | null;
  readonly aliveNs: number;
  /** Turns that moved frames, and times it went to sleep. */
  readonly busyTurns: number;
  readonly sleeps: number;
  readonly frames: number;
  /** By the device's number. */
  readonly devices: Readonly<Record<number, DeviceStats>>;
}

export type DriverDomainReply = WorkerReply<DriverDomainStats>;
