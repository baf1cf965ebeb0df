/**
 * A self-contained HTML page of facts and time charts: no network, no server, one file to mail. The charts are uPlot's,
 * inlined. What to draw comes as plain data, so that any report can use it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export interface ChartLine {
  readonly label: string;
  /** One value per x; null leaves a gap. */
  readonly values: readonly (number | null)[];
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  /** Seconds since the page's time zero, or what `xLabel` says. */
  readonly x: readonly number[];
  /** For a chart that is not over time: no phases are marked in it. */
  readonly xLabel?: string;
  readonly lines: readonly ChartLine[];
  readonly kind: 'line' | 'bars';
}

/** A vertical mark in every time chart: a phase begins here. */
export interface PhaseMark {
  readonly label: string;
  readonly atSeconds: number;
}

export interface PageTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface ReportPage {
  readonly title: string;
  readonly subtitle: string;
  readonly facts: readonly (readonly [string, string])[];
  /** Below the facts. */
  readonly tables?: readonly PageTable[];
  readonly charts: readonly Chart[];
  readonly marks: readonly PhaseMark[];
  /** The whole report, kept in the page for programs. */
  readonly data: unknown;
}

const PALETTE = [
  '#2563eb',
  '#dc2626',
  '#059669',
  '#d97706',
  '#7c3aed',
  '#0891b2',
  '#be185d',
  '#4d7c0f',
  '#111827',
  '#9ca3af',
  '#f472b6',
  '#92400e',
  '#22c55e',
  '#a3a300',
];

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** JSON that cannot end the script element it stands in. */
const scriptJson = (value: unknown): string => JSON.stringify(value).replace(/</g, '\\u003c');

function tableHtml({ title, head, rows }: PageTable): string {
  const cells = (kind: 'th' | 'td', texts: readonly string[]): string =>
    texts.map((text) => `<${kind}>${escapeHtml(text)}</${kind}>`).join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n');
  return `<h2>${escapeHtml(title)}</h2><table><tr>${cells('th', head)}</tr>\n${body}</table>`;
}

export function renderPage(page: ReportPage): string {
  const require = createRequire(import.meta.url);
  const script = readFileSync(require.resolve('uplot/dist/uPlot.iife.min.js'), 'utf8');
  const style = readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8');
  const rows = page.facts.map(
    ([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  const tables = (page.tables ?? []).map(tableHtml);
  const places = page.charts.map(
    (chart, i) => `<section><h2>${escapeHtml(chart.title)}</h2><div id="chart${i}"></div></section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(page.title)}</title>
<style>${style}
body{font:15px/1.45 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#111}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.5rem 0 .25rem}p{color:#555;margin:.25rem 0 1rem}
table{border-collapse:collapse}th{text-align:left;font-weight:500;color:#444}th,td{padding:.2rem 1.2rem .2rem 0;border-bottom:1px solid #eee;vertical-align:top}
</style></head><body>
<h1>${escapeHtml(page.title)}</h1><p>${escapeHtml(page.subtitle)}</p>
<table>${rows.join('\n')}</table>
${tables.join('\n')}
${places.join('\n')}
<script>${script}</script>
<script id="report" type="application/json">${scriptJson(page.data)}</script>
<script>
const charts=${scriptJson(page.charts)}, marks=${scriptJson(page.marks)}, palette=${scriptJson(PALETTE)};
${DRAW}
</script></body></html>
`;
}

/** Runs in the browser. Kept as text: the page must not need anything else. */
const DRAW = `
const drawMarks = (u) => {
  const ctx = u.ctx; ctx.save(); ctx.strokeStyle = '#9ca3af'; ctx.fillStyle = '#4b5563'; ctx.setLineDash([4, 4]);
  ctx.font = (11 * devicePixelRatio) + 'px system-ui';
  let row = 0;
  for (const mark of marks) {
    const x = u.valToPos(mark.atSeconds, 'x', true);
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    ctx.beginPath(); ctx.moveTo(x, u.bbox.top); ctx.lineTo(x, u.bbox.top + u.bbox.height); ctx.stroke();
    ctx.fillText(mark.label, x + 4, u.bbox.top + (12 + 13 * (row++ % 4)) * devicePixelRatio);
  }
  ctx.restore();
};
charts.forEach((chart, i) => {
  const bars = chart.kind === 'bars' ? uPlot.paths.bars({ size: [0.7, 60] }) : undefined;
  const series = [{ label: chart.xLabel ?? 's', value: (u, v) => v == null ? '' : chart.xLabel ? String(v) : v.toFixed(3) }].concat(chart.lines.map((line, n) => ({
    label: line.label, stroke: palette[n % palette.length], width: 1.5, paths: bars,
    fill: bars ? palette[n % palette.length] + '66' : undefined, spanGaps: false,
  })));
  new uPlot({ width: Math.min(960, innerWidth - 40), height: 240, scales: { x: { time: false } }, series,
    axes: [{ label: chart.xLabel ?? 'seconds' }, { label: chart.unit, size: 70 }], hooks: { draw: chart.xLabel ? [] : [drawMarks] },
    cursor: chart.xLabel ? {} : { sync: { key: 'srvm' } } },
    [chart.x].concat(chart.lines.map((line) => line.values)), document.getElementById('chart' + i));
});
`;
