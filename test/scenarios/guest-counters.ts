/** What a guest counts must go on over a migration: its driver's counters, its VF's as it reads them, its clock. */
import { expect } from 'vitest';
import { COUNTER } from './shuttle.js';

/** Those that only grow. */
const GROWING = [
  COUNTER.rxPackets,
  COUNTER.rxBytes,
  COUNTER.txPackets,
  COUNTER.txBytes,
  COUNTER.vfRxPackets,
  COUNTER.vfTxPackets,
  COUNTER.interrupts,
  COUNTER.clockNs,
];

/** The guest's counters before a hop and after it. */
export function expectCountersGrown(before: readonly bigint[], after: readonly bigint[]): void {
  for (const index of GROWING) expectGrown(before[index]!, after[index]!, `counter ${index}`);
}

export function expectGrown<T extends number | bigint>(before: T, after: T, what: string): void {
  expect(after >= before, `${what}: ${before} before the hop, ${after} after it`).toBe(true);
}
