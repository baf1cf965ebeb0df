/**
 * CPU time of two VMM processes, by core: threads of the same name are one core of the comparison, wherever they run.
 */
import type { VmmMigrationReport } from '../../control/vmm-migration.js';
import { coreOf, type ThreadInfo } from '../../measure/threads.js';

/** By core's name: main, vcpu, nic, sender, receiver, tracker, ... and `runtime` for the threads of Node itself. */
export type CpuByCore = Readonly<Record<string, number>>;

/** Shares of a core, in per cent, between two looks at some processes. */
export function cpuShares(
  began: readonly (readonly ThreadInfo[])[],
  ended: readonly (readonly ThreadInfo[])[],
  windowMs: number,
): CpuByCore {
  const shares: Record<string, number> = {};
  for (const [index, threads] of ended.entries()) {
    for (const [core, ms] of Object.entries(grown(began[index] ?? [], threads))) {
      shares[core] = (shares[core] ?? 0) + (ms * 100) / windowMs;
    }
  }
  return shares;
}

/**
 * Seconds from the order to migrate to its end. Threads end before anybody could ask: at the source its own samples
 * count, and for sender, receiver and tracker the exact account that they leave.
 */
export function cpuSeconds(
  { cores, senderCpuNs, tracker }: VmmMigrationReport,
  arrival: { readonly receiverCpuNs: number | null } | null,
  ordered: readonly ThreadInfo[],
  arrived: readonly ThreadInfo[],
): CpuByCore {
  const seconds: Record<string, number> = {};
  const add = (core: string, value: number): void => {
    seconds[core] = (seconds[core] ?? 0) + value;
  };
  let lastMs = 0;
  for (const { atMs, percent } of cores) {
    for (const [core, share] of Object.entries(percent)) add(core, (share * (atMs - lastMs)) / 1e5);
    lastMs = atMs;
  }
  for (const [core, ms] of Object.entries(grown(ordered, arrived))) add(core, ms / 1e3);
  if (senderCpuNs !== null) seconds['sender'] = senderCpuNs / 1e9;
  if (arrival !== null && arrival.receiverCpuNs !== null) seconds['receiver'] = arrival.receiverCpuNs / 1e9;
  if (tracker !== null && tracker.coreAliveNs > 0) seconds['tracker'] = tracker.coreCpuNs / 1e9;
  return seconds;
}

/** Milliseconds that each core of one process ran between two looks. */
export function grown(began: readonly ThreadInfo[], ended: readonly ThreadInfo[]): Record<string, number> {
  const before = new Map(began.map((thread) => [thread.tid, thread.cpuMs]));
  const ms: Record<string, number> = {};
  for (const thread of ended) {
    const core = coreOf(thread);
    ms[core] = (ms[core] ?? 0) + thread.cpuMs - (before.get(thread.tid) ?? 0);
  }
  return ms;
}
