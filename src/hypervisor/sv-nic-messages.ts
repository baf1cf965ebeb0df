/** What the main thread and a core of a self-virtualizing device say to each other: management only, never a packet. */
import type { SharedCableHandle } from '../hardware/wire/shared-cable.js';
import type { WireStats } from '../hardware/wire/wire.js';
import type { VirtioNetHandle } from '../virtio/device-words.js';
import type { InterruptTarget } from './interrupt-remap.js';
import type { WireSpec } from './nic-messages.js';
import type { WorkerCommand, WorkerReply } from './worker-messages.js';

export interface SvNicWorkerData {
  readonly core: number;
  readonly bell: SharedArrayBuffer;
  readonly frameBytes: number;
  /** The port's core holds the device's wire and an end of every other core's way to it. */
  readonly port:
    | { readonly wire: WireSpec; readonly cores: readonly SharedCableHandle[] }
    | SharedCableHandle;
}

export type SvNicCommand = WorkerCommand<SvNicOwnCommand>;

export type SvNicOwnCommand =
  | {
      readonly kind: 'attach';
      readonly id: number;
      readonly device: number;
      readonly handle: VirtioNetHandle;
      readonly vif: SharedArrayBuffer;
      readonly target: InterruptTarget;
      readonly serving: boolean;
      /** The core that takes what the VIF sends. */
      readonly core: number;
    }
  | { readonly kind: 'detach'; readonly id: number; readonly device: number }
  | { readonly kind: 'serve'; readonly id: number; readonly device: number; readonly on: boolean }
  /** To the port's core: sends a frame of the host's own. */
  | { readonly kind: 'send'; readonly id: number; readonly frame: Uint8Array }
  | { readonly kind: 'sync'; readonly id: number };

export interface SvNicCoreStats {
  /** Thread CPU time; null where the kernel does not tell. */
  readonly cpuNs: number | null;
  readonly aliveNs: number;
  /** Taken from the wire and from the core's own VIFs. */
  readonly frames: number;
  readonly sleeps: number;
  /** Of the device's wire, or of the core's way to it. */
  readonly wire: WireStats;
}

export type SvNicReply = WorkerReply<SvNicCoreStats>;
