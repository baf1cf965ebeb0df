/** A comparison as a page: the tables, and every method's curve over time in the same charts. */
import { type Chart, renderPage } from '../../measure/html-page.js';
import { type MethodTrials, spreadOf } from './figures.js';
import type { ShownTable } from './text.js';
import type { Curve, Trial } from './trial.js';

export interface ComparisonPage {
  readonly title: string;
  readonly subtitle: string;
  readonly tables: readonly ShownTable[];
  readonly methods: readonly MethodTrials[];
  readonly payloadBits: number;
  /** Kept in the page for programs. */
  readonly data: unknown;
}

export function comparisonPage({
  title,
  subtitle,
  tables,
  methods,
  payloadBits,
  data,
}: ComparisonPage): string {
  const charts: Chart[] = [];
  if (methods.some(({ saturated }) => saturated.length > 0)) {
    const gbps = ({ perSecond }: Curve) => perSecond.map((each) => (each * payloadBits) / 1e9);
    charts.push(chartOf('Throughput, saturated: payload echoed', 'Gb/s', methods, (m) => m.saturated, gbps));
  }
  if (methods.some(({ steady }) => steady.length > 0)) {
    const rates = ({ perSecond }: Curve) => perSecond;
    charts.push(chartOf('Replies at the steady rate', 'packets/s', methods, (m) => m.steady, rates));
    charts.push(
      chartOf(
        'Latency at the steady rate: median of each slice',
        'us',
        methods,
        (m) => m.steady,
        (c) => c.medianUs,
      ),
    );
  }
  const marks = [{ label: 'order to migrate', atSeconds: 0 }];
  return renderPage({ title, subtitle, facts: [], tables, charts, marks, data });
}

/** A line for each method: in each slice of time the median of its runs. */
function chartOf(
  title: string,
  unit: string,
  methods: readonly MethodTrials[],
  trialsOf: (each: MethodTrials) => readonly Trial[],
  valuesOf: (curve: Curve) => readonly (number | null)[],
): Chart {
  const curves = methods.map((each) => trialsOf(each).map(({ curve }) => curve));
  const sample = curves.flat()[0]!;
  const slices = Math.max(...curves.flat().map(({ perSecond }) => perSecond.length));
  const x = Array.from({ length: slices }, (_, i) => ((i + 0.5) * sample.bucketMs - sample.fromMs) / 1e3);
  const lines = methods.map(({ method }, index) => {
    const runs = curves[index]!.map((curve) => valuesOf(curve));
    const values = x.map((_, slice) => spreadOf(runs.map((run) => run[slice] ?? null))?.median ?? null);
    return { label: method.name, values };
  });
  return { title, unit, kind: 'line', x, lines };
}
