/**
 * Every plugin of the repository, hop after hop under load, verified: `srvm bench plugin-soak`. One of them, as long and with
 * what it needs:
 *
 *   node dist/test/bench/plugin-soak.bench.js --plugin plugins/srvm --option mode=scan --hops 20
 *        [--image guest-images/udp-echo] [--memory 16M] [--rate 2000] [--payload 200] [--both "ARGS"] [--run "ARGS"] [--json]
 *
 * It ends with 1 when a hop was not what it must be (see plugin-soak.ts).
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import type { VmmMigrationReport } from '../../src/control/vmm-migration.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { claimsOf } from '../../src/plugin/definition.js';
import { loadPlugin } from '../../src/plugin/loader.js';
import { type SoakOptions, type SoakReport, soak } from './plugin-soak.js';

const BENCH_HOPS = 20;
const DEFAULTS = { memory: '16M', rateHz: 2000, payloadBytes: 200 } as const;

const exitsOf = ({ exits }: VmmMigrationReport): number =>
  Object.values(exits).reduce((sum, count) => sum + count, 0);

function rowsOf(title: string, { hops, probe }: SoakReport, isHelped: boolean): BenchRow[] {
  const row = (what: string, of: (hop: VmmMigrationReport) => number): BenchRow =>
    rowOf(`${title}: ${what}`, hops.map(of));
  return [
    row('downtime, ms', (hop) => hop.downtimeMs ?? Number.NaN),
    row('pages sent', (hop) => hop.rounds.reduce((sum, r) => sum + r.dataPages + r.zeroPages, 0)),
    row(
      'pages missed',
      ({ dmaCoverage: dma }) => (isHelped ? dma?.pagesInNoLog : dma?.pagesMissed) ?? Number.NaN,
    ),
    row('pages over-marked', (hop) => hop.dmaCoverage?.pagesOverMarked ?? Number.NaN),
    row('extra core, CPU ms', (hop) => (hop.tracker?.coreCpuNs ?? 0) / 1e6),
    row('VM exits at the source', exitsOf),
    rowOf(`${title}: probes lost, of ${probe.sent}`, [probe.lost]),
    rowOf(`${title}: longest gap at the peer, ms`, [probe.longestGapMs]),
  ];
}

async function everyPlugin(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const folder = join(PACKAGE_ROOT, 'plugins');
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const plugin = join(folder, entry.name);
    const { definition } = await loadPlugin(plugin);
    const claims = claimsOf(definition);
    // where the guest helps, the vCPU's dirty log has what the tracker does not
    if (!claims.tracksEveryPage && !claims.needsGuestHelp) continue;
    for (const mode of definition.options?.['mode']?.values ?? [null]) {
      const title = mode === null ? definition.name : `${definition.name} ${mode}`;
      const pluginOptions: Record<string, string> = mode === null ? {} : { mode };
      const report = await soak({ ...DEFAULTS, plugin, pluginOptions, hops: BENCH_HOPS });
      rows.push(...rowsOf(title, report, claims.needsGuestHelp));
      rows.push(rowOf(`${title}: what was wrong`, [report.problems.length], { atMost: 0 }));
    }
  }
  return rows;
}

export const benchmark: Benchmark = {
  name: 'plugin-soak',
  what: `each plugin that moves every page: ${BENCH_HOPS} verified hops between two processes, ${DEFAULTS.rateHz} echo probes a second`,
  run: everyPlugin,
};

function optionsOf(args: readonly string[]): SoakOptions & { json: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      plugin: { type: 'string' },
      option: { type: 'string', multiple: true, default: [] },
      image: { type: 'string' },
      memory: { type: 'string', default: DEFAULTS.memory },
      hops: { type: 'string', default: '20' },
      rate: { type: 'string', default: String(DEFAULTS.rateHz) },
      payload: { type: 'string', default: String(DEFAULTS.payloadBytes) },
      both: { type: 'string', default: '' },
      run: { type: 'string', default: '' },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.plugin === undefined) throw new Error('plugin-soak: which plugin? --plugin FOLDER');
  const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');
  return {
    plugin: values.plugin,
    pluginOptions: Object.fromEntries(values.option.map((pair) => pair.split('=', 2) as [string, string])),
    ...(values.image === undefined ? {} : { image: values.image }),
    memory: values.memory,
    hops: Number(values.hops),
    rateHz: Number(values.rate),
    payloadBytes: Number(values.payload),
    both: words(values.both),
    run: words(values.run),
    json: values.json,
  };
}

async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2));
  const report = await soak({
    ...options,
    onHop: (hop, { downtimeMs, rounds, dmaCoverage, exits }, problems) => {
      const marks = `${dmaCoverage?.pagesWritten} written, ${dmaCoverage?.pagesMissed} missed, ${dmaCoverage?.pagesOverMarked} over-marked`;
      const count = Object.values(exits).reduce((sum, each) => sum + each, 0);
      process.stderr.write(
        `hop ${hop}: downtime ${downtimeMs?.toFixed(1)} ms, ${rounds.length} rounds, ${marks}, ${count} exits${problems.length > 0 ? `: ${problems.join('; ')}` : ''}\n`,
      );
    },
  });
  const { probe, problems, completed, image } = report;
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  process.stdout.write(
    `${options.plugin} with ${image}: ${completed} of ${options.hops} hops; probes: ${probe.sent} sent, ${probe.lost} lost, ` +
      `${probe.duplicates} doubled, ${probe.reordered} out of order, ${probe.corrupt} corrupt, longest gap ${probe.longestGapMs.toFixed(1)} ms\n` +
      `${problems.length === 0 ? 'nothing was wrong' : problems.join('\n')}\n`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
