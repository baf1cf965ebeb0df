/**
 * Why a vCPU left its guest for the hypervisor, and how often: counters in the VM's control page. Only the vCPU's thread
 * counts, so plain increments do.
 */
import { CONTROL_BYTES, CTRL } from '../machine/layout.js';

/** Offset of each reason's counter from CTRL.exits; at most 16. */
export const EXIT_REASON = {
  configRead: 0,
  configWrite: 1,
  /** MSI-X table and pending bits: never mapped into a guest. */
  msixRead: 2,
  msixWrite: 3,
  trappedRead: 4,
  trappedWrite: 5,
  /** A read of a shadow page had to wait for a turn of the tracker core. */
  turnWait: 6,
  /** An access met a page whose mapping was just being changed. */
  remapWait: 7,
  /** Registers of a paravirtual device, and its doorbells. */
  paravirtualRead: 8,
  paravirtualWrite: 9,
  paravirtualNotify: 10,
  /** The guest is done with an interrupt line and asks for the next. */
  endOfInterrupt: 11,
  /** Of all these: handed to the main thread, for want of an acceleration. */
  servedElsewhere: 12,
} as const;
export type ExitReason = keyof typeof EXIT_REASON;

export type ExitCounts = Readonly<Record<ExitReason, number>>;

/** The control page's words. */
export const controlWords = (memory: SharedArrayBuffer, controlOffset: number): Int32Array =>
  new Int32Array(memory, controlOffset, CONTROL_BYTES >> 2);

export function countExit(control: Int32Array, reason: number): void {
  const word = CTRL.exits + reason;
  control[word] = (control[word]! + 1) | 0;
}

export function readExits(control: Int32Array): ExitCounts {
  const counts: Partial<Record<ExitReason, number>> = {};
  for (const [reason, index] of Object.entries(EXIT_REASON)) {
    counts[reason as ExitReason] = Atomics.load(control, CTRL.exits + index) >>> 0;
  }
  return counts as ExitCounts;
}

/** What was counted between two looks; the counters are 32 bits wide and wrap. */
export function exitsSince(before: ExitCounts, now: ExitCounts): ExitCounts {
  const counts: Partial<Record<ExitReason, number>> = {};
  for (const reason of Object.keys(EXIT_REASON) as ExitReason[]) {
    counts[reason] = (now[reason] - before[reason]) >>> 0;
  }
  return counts as ExitCounts;
}
