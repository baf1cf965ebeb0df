/**
 * What is compared: every figure with its block, its name, and which of a method's trials it is taken from.
 *
 *   steady      a rate that every method carries: latency, loss and gaps mean something
 *   saturated   as much as the guest answers: throughput means something; verified, so its stop is longer
 */
import type { EchoLoadReport } from '../../measure/load/echo-load.js';
import type { Method } from './methods.js';
import type { Trial } from './trial.js';

export interface MethodTrials {
  readonly method: Method;
  readonly steady: readonly Trial[];
  readonly saturated: readonly Trial[];
  /** What went wrong, run by run. */
  readonly failures: readonly string[];
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

export interface Figure {
  readonly name: string;
  readonly spread: Spread | null;
}

export interface Block {
  readonly title: string;
  /** Figures of each method, in the order of the methods; all have the same names. */
  readonly methods: readonly (readonly Figure[])[];
}

type Of = (trial: Trial, method: Method) => number | null;
type Row = readonly [name: string, of: Of];

/** Which of a method's trials a figure is taken from. */
type From = (each: MethodTrials) => readonly Trial[];

// where only one kind of load was asked for, every figure is of that one
const saturated: From = (each) => (each.saturated.length > 0 ? each.saturated : each.steady);
const steady: From = (each) => (each.steady.length > 0 ? each.steady : each.saturated);

/** @param payloadBits of one datagram. */
export function blocksOf(methods: readonly MethodTrials[], payloadBits: number): Block[] {
  const block = (title: string, from: From, rows: readonly Row[]): Block => ({
    title,
    methods: methods.map((each) =>
      rows.map(([name, of]) => ({
        name,
        spread: spreadOf(from(each).map((trial) => of(trial, each.method))),
      })),
    ),
  });
  const all = methods.flatMap((each) => [...each.steady, ...each.saturated]);
  // and says so
  const isAny = (kind: 'steady' | 'saturated'): boolean => methods.some((each) => each[kind].length > 0);
  const whenSaturated = isAny('saturated') ? 'saturated' : 'at the steady rate';
  const whenSteady = isAny('steady') ? 'at the steady rate' : 'saturated';

  return [
    block(`throughput, Gb/s of payload, ${whenSaturated}`, saturated, throughput(payloadBits)),
    block('answered at the steady rate, % of what was offered', steady, ANSWERED),
    block(`latency, us, ${whenSteady}`, steady, LATENCY),
    block(`the stop, ${whenSteady}: milliseconds; packets`, steady, THE_STOP),
    block(`pages, ${whenSaturated}`, saturated, PAGES),
    block(
      'CPU, seconds during the migration, by core',
      steady,
      keyed(all, ({ cpuDuring }) => cpuDuring),
    ),
    block(
      'CPU, % of a core before the migration',
      steady,
      keyed(all, ({ cpuBefore }) => cpuBefore),
    ),
    block(
      'VM exits at the source during the migration',
      steady,
      keyed(all, ({ report }) => report.exits, 1),
    ),
  ];
}

function throughput(payloadBits: number): Row[] {
  const gbps = (perSecond: number): number => (perSecond * payloadBits) / 1e9;
  return [
    ['before', ({ before }) => gbps(before.perSecond)],
    ['during', ({ during }) => gbps(during.perSecond)],
    ['after', ({ after }) => gbps(after.perSecond)],
    ['during/before %', ({ before, during }) => ratio(during.perSecond * 100, before.perSecond)],
  ];
}

const ANSWERED: readonly Row[] = [
  ['before', ({ before, load }) => answered(before.perSecond, load)],
  ['during', ({ during, load }) => answered(during.perSecond, load)],
  ['whole migration', ({ whole, load }) => answered(whole.perSecond, load)],
  ['after', ({ after, load }) => answered(after.perSecond, load)],
];

const LATENCY: readonly Row[] = [
  ['before p50', ({ before }) => before.p50Us],
  ['p99', ({ before }) => before.p99Us],
  ['during p50', ({ during }) => during.p50Us],
  ['p99', ({ during }) => during.p99Us],
  ['after p50', ({ after }) => after.p50Us],
  ['p99', ({ after }) => after.p99Us],
];

const THE_STOP: readonly Row[] = [
  ['downtime, engine', ({ report }) => report.downtimeMs],
  ['longest gap, peer', ({ gapMs }) => gapMs],
  ['gap before', ({ quietGapMs }) => quietGapMs],
  ['migration', ({ report }) => report.totalMs],
  ['lost', ({ load }) => load.lost],
  ['duplicated', ({ load }) => load.duplicates],
  ['overtaken', ({ load }) => load.reordered],
  ['corrupt', ({ load }) => load.corrupt],
];

const PAGES: readonly Row[] = [
  [
    'sent',
    ({ report }) => report.rounds.reduce((sum, { dataPages, zeroPages }) => sum + dataPages + zeroPages, 0),
  ],
  ['DMA wrote', ({ report }) => report.dmaCoverage?.pagesWritten ?? null],
  [
    'missed',
    // where the guest helps, what it touches for that is in the vCPU's log
    ({ report: { dmaCoverage } }, { claims }) =>
      (claims.needsGuestHelp ? dmaCoverage?.pagesInNoLog : dmaCoverage?.pagesMissed) ?? null,
  ],
  ['over-marked', ({ report }) => report.dmaCoverage?.pagesOverMarked ?? null],
  ['wrong at the destination', ({ report }) => report.verdict?.pagesDiffering ?? null],
];

/** A column for every name that any trial has at least `least` of. */
function keyed(
  trials: readonly Trial[],
  of: (trial: Trial) => Readonly<Record<string, number>>,
  least = 0.001,
): Row[] {
  const names = new Set<string>();
  for (const trial of trials) {
    for (const [name, value] of Object.entries(of(trial))) if (value >= least) names.add(name);
  }
  return [...names].sort().map((name) => [name, (trial) => of(trial)[name] ?? 0]);
}

/** Null where there was no rate: a window offers what is answered. */
const answered = (perSecond: number, { offeredPerSecond }: EchoLoadReport): number | null =>
  offeredPerSecond === null ? null : (perSecond * 100) / offeredPerSecond;

const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

/** Null when no trial has the figure. */
export function spreadOf(samples: readonly (number | null)[]): Spread | null {
  const sorted = samples.filter((sample) => sample !== null).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return { median: middle(sorted), min: sorted[0]!, max: sorted.at(-1)!, runs: sorted.length };
}

function middle(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** How a method's guest differs from the one that knows of nothing. */
export function guestText({ claims, image, plugin }: Method): string {
  if (plugin === null) return `paravirtual NIC (${image.name})`;
  if (claims.guestVariant !== null) return `own driver (${image.name})`;
  return claims.needsGuestHelp ? 'helps' : 'unmodified';
}
