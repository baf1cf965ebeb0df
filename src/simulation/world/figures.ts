/** What a run says in numbers, all in virtual time. Names end in their unit. */
import type { World } from './world.js';

export function figuresOf(world: World): Record<string, number> {
  const figures: Record<string, number> = {
    framesSent: world.traffic.sent,
    framesAnswered: world.traffic.answered,
    migrations: world.hops.length,
  };
  let committed = 0;
  for (const { sourceEnd } of world.hops) {
    if (sourceEnd?.kind !== 'ended' || sourceEnd.report.outcome !== 'completed') continue;
    const { report } = sourceEnd;
    committed++;
    add(figures, 'downtimeMs', report.downtimeMs ?? 0);
    add(figures, 'totalMs', report.totalMs);
    add(figures, 'rounds', report.rounds.length);
    add(figures, 'bytes', report.bytes);
    add(figures, 'trackerBusyNs', report.tracker?.coreCpuNs ?? 0);
    add(figures, 'trackerAliveNs', report.tracker?.coreAliveNs ?? 0);
    add(figures, 'trackerPagesMarked', report.tracker?.pagesMarked ?? 0);
    add(figures, 'trackerDescriptors', report.tracker?.counters['descriptors'] ?? 0);
    add(figures, 'pagesWrittenByDma', report.dmaCoverage?.pagesWritten ?? 0);
  }
  return { ...figures, committed };
}

function add(figures: Record<string, number>, name: string, value: number): void {
  figures[name] = (figures[name] ?? 0) + value;
}
