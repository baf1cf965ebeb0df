/** A migration's report as an HTML page: rounds by cause, and whatever time series were recorded beside it. */

import type { VmmMigrationReport } from '../control/vmm-migration.js';
import { type Chart, renderPage } from '../measure/html-page.js';
import { reportRows } from './migration-text.js';

/** @param series charts whose time zero is the migration's start. */
export function migrationPage(report: VmmMigrationReport, series: readonly Chart[]): string {
  const rounds = report.rounds;
  const xSeconds = rounds.map((round) => (round.startedAtMs + round.durationMs / 2) / 1e3);
  const later = (of: (index: number) => number) => rounds.map((_, index) => (index === 0 ? null : of(index)));
  return renderPage({
    title: `Live migration of ${report.vm} (${report.image})`,
    subtitle: `${report.ramBytes / 2 ** 20} MiB of RAM, plugin ${report.tracker?.plugin ?? 'none'} ${JSON.stringify(report.tracker?.options ?? {})}`,
    facts: reportRows(report),
    marks: report.phases.map(({ phase, atMs }) => ({ label: phase, atSeconds: atMs / 1e3 })),
    charts: [
      ...series,
      {
        title: 'Pages dirtied before each round, by cause',
        unit: 'pages',
        kind: 'bars',
        x: rounds.map((round) => round.round),
        xLabel: 'round',
        lines: [
          { label: 'CPU', values: later((i) => rounds[i]!.dirtiedByCpu) },
          { label: 'DMA', values: later((i) => rounds[i]!.dirtiedByDma) },
          { label: 'both', values: later((i) => rounds[i]!.dirtiedByBoth) },
        ],
      },
      {
        title: 'Page stream',
        unit: 'MiB/s',
        kind: 'line',
        x: xSeconds,
        lines: [{ label: 'rate', values: rounds.map((round) => round.bytesPerSecond / 2 ** 20) }],
      },
      coresChart(report),
    ],
    data: report,
  });
}

/** What each core of the source process ran, the extra one among them. */
function coresChart({ cores }: VmmMigrationReport): Chart {
  const names = [...new Set(cores.flatMap((sample) => Object.keys(sample.percent)))].sort();
  return {
    title: 'CPU time of the source process, by core',
    unit: '% of a core',
    kind: 'line',
    x: cores.map((sample) => sample.atMs / 1e3),
    lines: names.map((label) => ({ label, values: cores.map((sample) => sample.percent[label] ?? null) })),
  };
}
