/**
 * What differs between kinds of vCPU on the main thread's side: how its own state is taken and put back, and what must be
 * ready before it logs its stores. The rest, orders and phases, is the same for all (vcpu-control.ts).
 */
import type { MemoryLayout } from './layout.js';

export type VcpuExit = { readonly kind: 'none' } | { readonly kind: 'halted'; readonly exitCode: number };

/** What every kind's state has. */
export interface CommonVcpuState {
  /** The guest's clock when it was captured. */
  readonly clockNs: number;
  readonly exit: VcpuExit;
}

export interface VcpuKind<State extends CommonVcpuState> {
  readonly layout: MemoryLayout;
  /** Resolves when the vCPU can begin to log its stores at once. */
  loggingReady(): Promise<void>;
  /** The state of a vCPU that stands still. */
  capture(common: CommonVcpuState): State;
  /** Puts a decoded state in place; the vCPU stands still. */
  restore(state: State): void;
}
