/** What a VM can be, and which may follow which. */
import type { TrapReport } from '../machine/vcpu-events.js';

export type VmState =
  /** Built and held: no instruction has run. */
  | { readonly kind: 'created' }
  /** Built and held for a guest that comes from elsewhere. */
  | { readonly kind: 'incoming' }
  | { readonly kind: 'running'; readonly atNs: number }
  | { readonly kind: 'paused'; readonly atNs: number }
  /** The guest's run has returned. */
  | { readonly kind: 'halted'; readonly exitCode: number; readonly atNs: number }
  /** The guest did what no guest may; the VM stays for inspection. */
  | { readonly kind: 'trapped'; readonly report: TrapReport; readonly atNs: number }
  | { readonly kind: 'destroyed' };

export type VmStateKind = VmState['kind'];

const TRANSITIONS: Readonly<Record<VmStateKind, readonly VmStateKind[]>> = {
  created: ['running', 'trapped', 'destroyed'],
  incoming: ['paused', 'halted', 'trapped', 'destroyed'],
  running: ['paused', 'halted', 'trapped', 'destroyed'],
  paused: ['running', 'halted', 'trapped', 'destroyed'],
  halted: ['destroyed'],
  trapped: ['destroyed'],
  destroyed: [],
};

/** A step that the VM's state does not allow. */
export class VmStateError extends Error {
  readonly from: VmStateKind;
  readonly wanted: string;

  constructor(name: string, from: VmStateKind, wanted: string) {
    super(`VM '${name}' is ${from}, so it cannot ${wanted}`);
    this.name = 'VmStateError';
    this.from = from;
    this.wanted = wanted;
  }
}

export const mayFollow = (from: VmStateKind, to: VmStateKind): boolean => TRANSITIONS[from].includes(to);

/** A VM that cannot be made, or a state that cannot be restored. */
export class VmError extends Error {
  override readonly name = 'VmError';
}
