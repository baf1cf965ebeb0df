/** A comparison as one table in blocks: a row for each method, medians, and the spread where runs differ. */
import { printTable } from '../output.js';
import { type Block, guestText, type MethodTrials, type Spread } from './figures.js';

export interface ShownTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function tablesOf(methods: readonly MethodTrials[], blocks: readonly Block[]): ShownTable[] {
  const names = methods.map(({ method }) => method.name);
  const shown = blocks
    .filter((block) => (block.methods[0]?.length ?? 0) > 0)
    .map(({ title, methods: figures }) => ({
      title,
      head: ['', ...(figures[0] ?? []).map(({ name }) => name)],
      rows: figures.map((row, index) => [names[index]!, ...row.map(({ spread }) => spreadText(spread))]),
    }));
  const guests = {
    title: 'the guest, and what the method says of itself',
    head: ['', 'guest', 'migrated', 'does not promise'],
    rows: methods.map((each) => [
      each.method.name,
      guestText(each.method),
      migratedText(each),
      claimsText(each),
    ]),
  };
  return [guests, ...shown];
}

export function printTables(tables: readonly ShownTable[]): void {
  for (const { title, head, rows } of tables) {
    process.stdout.write(`\n${title}\n`);
    printTable(head, rows);
  }
}

const migratedText = ({ steady, saturated, failures }: MethodTrials): string => {
  const completed = [...steady, ...saturated].filter(({ report }) => report.outcome === 'completed').length;
  return `${completed} of ${steady.length + saturated.length + failures.length}`;
};

function claimsText({ method: { claims } }: MethodTrials): string {
  const lacks = [
    // where the guest helps, the vCPU's own log has the pages
    !claims.tracksEveryPage && !claims.needsGuestHelp ? 'every page' : '',
    claims.marksAtPauseOnly ? 'a short stop' : '',
    claims.mayLosePackets ? 'every packet' : '',
    claims.mayDuplicatePackets ? 'none twice' : '',
    claims.mayReorderPackets ? 'their order' : '',
  ].filter((each) => each !== '');
  return lacks.length === 0 ? '-' : lacks.join(', ');
}

/** "5.1 (4.8-6.0)"; one figure when there was one run, or all were equal. */
function spreadText(spread: Spread | null): string {
  if (spread === null) return '-';
  const { median, min, max } = spread;
  return min === max ? short(median) : `${short(median)} (${short(min)}-${short(max)})`;
}

const short = (value: number): string =>
  value === 0 || Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
