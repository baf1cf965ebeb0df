/** Simulations in words: one run, a campaign, what was never reached. */
import type { CampaignReport } from '../simulation/campaign/campaign.js';
import type { Coverage } from '../simulation/campaign/coverage.js';
import type { SeedReport } from '../simulation/campaign/simulator.js';
import type { PlannedFault } from '../simulation/world/fault-plan.js';
import { formatMs } from './output.js';

/** Failing seeds that are told of one by one. */
const TOLD_FAILURES = 8;

/** `link-stall for 3.20 ms (2.00 ms after pre-copy, round 2)` */
export function faultText(fault: PlannedFault): string {
  return `${actionText(fault)} (${momentText(fault)})`;
}

function momentText(fault: PlannedFault): string {
  if ('atNs' in fault) return `at ${formatMs(fault.atNs / 1e6)}`;
  if ('atEvent' in fault) return `before event ${fault.atEvent}`;
  const round = fault.round > 0 ? `, round ${fault.round}` : '';
  return `${formatMs(fault.afterNs / 1e6)} into ${fault.atPhase}${round} of migration ${fault.hop + 1}`;
}

function actionText(fault: PlannedFault): string {
  const parts: string[] = [fault.what];
  if ('core' in fault) parts.push(`of the ${fault.core}`);
  if ('nth' in fault) parts.push(`in call ${fault.nth} of ${fault.call}`);
  else if ('call' in fault) parts.push(`in ${fault.call}`);
  if ('chance' in fault) parts.push(`of ${(fault.chance * 100).toFixed(0)}%`);
  if ('factor' in fault) parts.push(`by ${fault.factor}`);
  if ('bytesPerSecond' in fault) parts.push(`to ${(fault.bytesPerSecond / 2 ** 20).toFixed(1)} MiB/s`);
  if ('afterBytes' in fault) parts.push(`after ${fault.afterBytes} bytes`);
  if ('by' in fault) parts.push(`by the ${fault.by}`);
  if ('forNs' in fault) parts.push(`for ${formatMs(fault.forNs / 1e6)}`);
  return parts.join(' ');
}

/** Rows of [what, figure] for one seed. */
export function seedRows(
  report: Omit<SeedReport, 'outcome'> & { readonly outcome: string },
): [string, string][] {
  const rows: [string, string][] = [
    ['seed', String(report.seed)],
    ['outcome', report.outcome],
    ['virtual time', `${formatMs(report.virtualMs)} in ${report.events} events (hash ${report.logHash})`],
    ['real time', formatMs(report.wallMs)],
  ];
  for (const fault of report.plan) rows.push(['fault', faultText(fault)]);
  for (const problem of report.problems) rows.push(['BROKEN', problemText(problem)]);
  for (const note of report.notes) rows.push(['note', note]);
  return rows;
}

export function problemText({ promise, sentence, pages }: SeedReport['problems'][number]): string {
  const where = pages !== undefined && pages.length > 0 ? ` (pages ${pages.slice(0, 8).join(', ')})` : '';
  return `${promise}: ${sentence}${where}`;
}

/** Rows of [what, figure] for a campaign. */
export function campaignRows(report: CampaignReport): [string, string][] {
  const { seeds, passed, failed, stuck, lost, events, virtualMs, wallMs } = report;
  const seconds = wallMs / 1e3;
  return [
    [
      'seeds',
      `${seeds}: ${passed} passed, ${failed} failed, ${stuck} stuck, ${lost} lost (worker died or hung)`,
    ],
    ['virtual time', `${(virtualMs / 1e3).toFixed(1)} s in ${events} events`],
    ['real time', `${seconds.toFixed(1)} s (${(seeds / seconds).toFixed(1)} seeds/s)`],
  ];
}

/** The first failures with what was broken and how to replay them; of the others the seeds, all of them. */
export function failuresText(
  failures: readonly (Pick<SeedReport, 'seed' | 'outcome' | 'problems'> & { readonly replay: string })[],
  notPassed: readonly number[],
): string {
  const told = failures.slice(0, TOLD_FAILURES);
  let text = '';
  for (const { seed, outcome, problems, replay } of told) {
    text += `\nseed ${seed} ${outcome}\n`;
    for (const problem of problems.slice(0, 3)) text += `  ${problemText(problem)}\n`;
    if (problems.length > 3) text += `  and ${problems.length - 3} more\n`;
    text += `  ${replay}\n`;
  }
  const toldSeeds = new Set(told.map(({ seed }) => seed));
  const others = notPassed.filter((seed) => !toldSeeds.has(seed));
  if (others.length > 0) text += `\nand ${others.length} more: ${others.join(', ')}\n`;
  return text;
}

/** Rows of [group, reached, never reached]. */
export function coverageRows(coverage: Coverage): [string, string, string][] {
  return coverage.rows.map(({ group, declared, reached, never }) => [
    `${group} (${reached.length} of ${declared})`,
    wrapped(reached.map(({ key, seeds }) => `${key} ${seeds}`)),
    wrapped(never),
  ]);
}

/** A list in lines of readable width. */
function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 60) lines[lines.length - 1] = `${last}, ${word}`;
    else lines.push(word);
  }
  return lines.join(',\n');
}
