/** A migration in words: the line per round, and the report as a table. */
import type { MigrationReport, RoundReport } from '../migration/report.js';
import { formatBytes, formatMs } from './output.js';

export function roundLine(round: RoundReport): string {
  const sent = round.dataPages + round.zeroPages;
  const dirtied =
    round.round === 1
      ? 'all pages due'
      : `dirtied by CPU ${round.dirtiedByCpu}, by DMA ${round.dirtiedByDma}, by both ${round.dirtiedByBoth}`;
  const expected = round.guestStopped
    ? 'guest stopped'
    : `expected downtime ${formatMs(round.expectedDowntimeMs)}`;
  return (
    `round ${String(round.round).padStart(2)}  ${String(sent).padStart(7)} pages sent (${round.zeroPages} zero)  ${dirtied}  ` +
    `${formatBytes(round.bytesPerSecond)}/s  ${expected}${round.notes.map((note) => `\n          ${note}`).join('')}`
  );
}

/** Rows of [what, figure]. */
export function reportRows(report: MigrationReport): [string, string][] {
  const rows: [string, string][] = [
    ['outcome', report.outcome + (report.error ? `: ${report.error}` : '')],
    ['total time', `${formatMs(report.totalMs)} (set-up ${formatMs(report.setupMs)})`],
  ];
  if (report.recovery) rows.push(['recovery', `${report.recovery}, after failing in ${report.failedDuring}`]);
  if (report.downtimeMs !== null) {
    rows.push(['downtime', formatMs(report.downtimeMs)], ['  made of', partsText(report)]);
  }
  rows.push(
    ['rounds', String(report.rounds.length)],
    ['sent', pagesText(report)],
    ['pages by cause', causesText(report)],
  );
  if (report.tracker) rows.push(['extra core', coreText(report)]);
  rows.push(['verifier', verifierText(report)]);
  for (const note of [...report.notes, ...(report.tracker?.notes ?? [])]) rows.push(['note', note]);
  return rows;
}

function partsText({ downtimeParts }: MigrationReport): string {
  return Object.entries(downtimeParts)
    .filter(([, ms]) => ms >= 0.005)
    .map(([part, ms]) => `${words(part)} ${ms.toFixed(2)}`)
    .join(', ')
    .concat(' ms');
}

/** lastHarvestMs -> last harvest */
const words = (name: string): string =>
  name.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function pagesText({ rounds, bytes }: MigrationReport): string {
  const data = rounds.reduce((sum, round) => sum + round.dataPages, 0);
  const zero = rounds.reduce((sum, round) => sum + round.zeroPages, 0);
  return `${data} pages, ${zero} zero pages, ${formatBytes(bytes)}`;
}

function causesText({ rounds }: MigrationReport): string {
  const later = rounds.slice(1);
  const sum = (of: (round: RoundReport) => number) => later.reduce((total, round) => total + of(round), 0);
  return (
    `after the first round: CPU ${sum((r) => r.dirtiedByCpu)}, DMA ${sum((r) => r.dirtiedByDma)}, ` +
    `both ${sum((r) => r.dirtiedByBoth)}`
  );
}

function coreText({ tracker }: MigrationReport): string {
  const { coreCpuNs, coreAliveNs, counters, pagesMarked } = tracker!;
  if (coreAliveNs === 0) return 'none';
  const { descriptors = 0, coreLoopCpuNs = coreCpuNs } = counters;
  // starting its thread is a cost of the core, but not one of each descriptor
  const per = (count: number) => (count > 0 ? `${(coreLoopCpuNs / count).toFixed(0)} ns` : '-');
  return (
    `${formatMs(coreCpuNs / 1e6)} of CPU in ${formatMs(coreAliveNs / 1e6)} ` +
    `(${((100 * coreCpuNs) / coreAliveNs).toFixed(1)}% of one core), ${formatMs(coreLoopCpuNs / 1e6)} of it scanning: ` +
    `${per(descriptors)} per descriptor (${descriptors}), ${per(pagesMarked)} per dirty page (${pagesMarked})`
  );
}

/** The verifier's word on bytes and on DMA. */
export function verifierText({ verdict, dmaCoverage }: MigrationReport): string {
  const bytes =
    verdict === null
      ? 'not asked for (--verify)'
      : verdict.pagesDiffering === 0
        ? `all ${verdict.pagesCompared} pages equal the source at the switch`
        : `${verdict.pagesDiffering} of ${verdict.pagesCompared} pages DIFFER, the first: ${verdict.differing.slice(0, 8).join(', ')}`;
  if (dmaCoverage === null) return bytes;
  const { pagesWritten, pagesMissed, pagesInNoLog, pagesOverMarked } = dmaCoverage;
  const dma =
    pagesMissed === 0
      ? `every one of ${pagesWritten} DMA-written pages was caught`
      : pagesInNoLog === 0
        ? `${pagesMissed} of ${pagesWritten} DMA-written pages were not marked, and are in the vCPU's log`
        : `${pagesMissed} of ${pagesWritten} DMA-written pages were MISSED`;
  return `${bytes}; ${dma} (${pagesOverMarked} marked beyond them)`;
}
