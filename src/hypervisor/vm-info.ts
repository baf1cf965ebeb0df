/** What people may ask about a VM. */

import type { DeviceStats } from '../virtio/device-words.js';
import type { PageMapping } from './bar-map.js';
import type { ExitCounts } from './vm-exits.js';
import type { VmState } from './vm-state.js';

export interface VmInfo {
  readonly name: string;
  readonly image: string;
  readonly imageKey: string;
  readonly state: VmState;
  readonly ramBytes: number;
  readonly build: string;
  readonly exits: ExitCounts;
  /** Times that the vCPU waited for an interrupt. */
  readonly waits: number;
  /** null where the kernel does not tell, or the vCPU has ended. */
  readonly vcpuCpuNs: number | null;
  readonly vfs: readonly VmVfInfo[];
  readonly nets: readonly VmNetInfo[];
}

export interface VmNetInfo {
  readonly slot: number;
  /** False: the guest has let go of it, its slot is empty. */
  readonly plugged: boolean;
  readonly mac: string;
  readonly stats: DeviceStats;
}

export interface VmVfInfo {
  readonly slot: number;
  readonly vf: number;
  readonly mac: string;
  /** False: the guest has let go of it, its slot is empty. */
  readonly plugged: boolean;
  readonly linkUp: boolean;
  /** How the guest's accesses to each page of BAR0 are served. */
  readonly bar0: readonly PageMapping[];
  readonly dmaFaults: { readonly reads: number; readonly writes: number };
}
