/**
 * `srvm demo`: the main job, shown. Two VMM processes, one network segment, an unmodified guest under traffic, a live
 * migration by the SRVM plugin while the traffic goes on, and a report of what was measured.
 *
 *   boot -> fill the store -> traffic (before) -> migrate (during) -> traffic (after) -> back again, every byte verified
 *        -> every value read back -> report
 *
 * The first migration is the one that is timed: comparing 256 MiB byte for byte needs the guest to stand still meanwhile.
 * The verified one goes the other way, under the same traffic.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { VmmMigrationReport } from '../control/vmm-migration.js';
import { realClock, seededRandom } from '../hardware/clock.js';
import type { Chart } from '../measure/html-page.js';
import { EchoProbe, type EchoProbeReport } from '../measure/load/echo-probe.js';
import { KvClient, type KvReport } from '../measure/load/kv-client.js';
import type { TimeSeriesReport } from '../measure/load/time-series.js';
import type { TrafficPeer } from '../measure/load/traffic-peer.js';
import type { MigrationReport, RoundReport } from '../migration/report.js';
import { followMigration } from './follow-migration.js';
import { Lab, LabError, sleep } from './lab.js';
import { migrationPage } from './migration-page.js';
import { migrationRecord, nearestSimulation } from './migration-record.js';
import { reportRows, roundLine, verifierText } from './migration-text.js';
import { formatMs, printJson, printTable } from './output.js';

interface DemoOptions {
  readonly mode: string;
  readonly memory: string;
  readonly megabytes: string;
  readonly rate: string;
  readonly html: string;
  readonly record?: string;
  readonly json: boolean;
}

const GUEST_IP = '10.0.0.2';
const GUEST_MAC = '52:54:00:00:00:01';
const PEER_MAC = '52:54:00:00:00:fe';
const VALUE_BYTES = 1024;
const LOAD_SEED = 1;
const PROBE_HZ = 1000;
const STEADY_MS = 3000;
const PATIENCE_MS = 30_000;

export function demoCommand(): Command {
  return new Command('demo')
    .description('migrate a loaded guest between two processes, live, and report what was measured')
    .addOption(
      new Option('--mode <mode>', "SRVM's tracker")
        .choices(['scan', 'shadow-doorbell'])
        .default('shadow-doorbell'),
    )
    .option('--memory <size>', 'guest RAM', '256M')
    .option('--megabytes <n>', 'live data in the guest', '32')
    .option('--rate <n>', 'store requests per second', '20000')
    .option('--html <file>', 'where the report page goes', 'srvm-demo.html')
    .option('--record <file>', 'write what was measured as a trace that Perfetto opens')
    .option('--json', 'print the report as JSON', false)
    .addHelpText('after', '\nExample:\n  srvm demo --mode scan')
    .action(runDemo);
}

async function runDemo(options: DemoOptions): Promise<void> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const lab = Lab.create();
  try {
    say(`two VMM processes, one switch; guest-images/kv-store with ${options.memory} of RAM`);
    const image = [
      'guest-images/kv-store',
      '--memory',
      options.memory,
      '--append',
      `ip=${GUEST_IP} store=${options.megabytes}M`,
    ];
    const sourceWire = lab.port('p0');
    const source = await lab.vmm('demo-a', ['run', ...image, '--vf', `mac=${GUEST_MAC},wire=${sourceWire}`]);
    const destination = await lab.vmm('demo-b', [
      'receive',
      '--listen',
      'tcp:127.0.0.1:0',
      '--vf',
      `wire=${lab.port('p1')}`,
    ]);
    const { address } = await destination.qmp.execute<{ address: string }>('x-srvm-query-incoming');

    const { probe, client } = loadsOf(lab.peer(PEER_MAC, '10.0.0.1'), options);
    probe.start();
    client.start();
    await until('the store is filled', () => client.phase === 'mixed');
    say(
      `the guest holds ${(client.report().storedBytes / 2 ** 20).toFixed(1)} MiB of values; traffic goes on`,
    );
    await sleep(STEADY_MS);

    say(`migrating over ${address} with plugins/srvm, mode ${options.mode}`);
    const order = { plugin: 'plugins/srvm', pluginOptions: { mode: options.mode } };
    const onRound = (round: RoundReport) => say(roundLine(round));
    const there = await followMigration(
      source.qmp,
      { ...order, uri: address, parameters: { 'downtime-limit': 20 } },
      { onRound },
    );
    await sleep(STEADY_MS);
    requireCompleted(there);
    const probed = probe.report();
    probe.stop();

    say('and back again, every page compared before the guest runs');
    const home = await source.qmp.execute<{ address: string }>('migrate-incoming', {
      uri: 'tcp:127.0.0.1:0',
      'x-srvm-vfs': [{ wire: sourceWire }],
    });
    const back = await followMigration(
      destination.qmp,
      { ...order, uri: home.address, parameters: { 'downtime-limit': 20, 'x-srvm-verify': true } },
      { onRound },
    );
    requireCompleted(back);
    client.verifyAll();
    await until('every value is read back', () => client.phase === 'idle');
    finish(options, { there, back, probed, stored: client.report() });
  } finally {
    await lab.close();
  }
}

function loadsOf(peer: TrafficPeer, options: DemoOptions): { probe: EchoProbe; client: KvClient } {
  const probe = new EchoProbe({ peer, targetIp: GUEST_IP, rateHz: PROBE_HZ });
  const client = new KvClient({
    peer,
    random: seededRandom(LOAD_SEED),
    targetIp: GUEST_IP,
    keys: Math.floor((Number(options.megabytes) * 0.75 * 2 ** 20) / VALUE_BYTES),
    minValueBytes: VALUE_BYTES - 128,
    maxValueBytes: VALUE_BYTES + 128,
    rateHz: Number(options.rate),
    window: 64,
  });
  return { probe, client };
}

function requireCompleted(report: MigrationReport): void {
  if (report.outcome !== 'completed') throw new LabError(`the migration ${report.outcome}: ${report.error}`);
}

async function until(what: string, done: () => boolean): Promise<void> {
  const deadlineNs = realClock.nowNs() + PATIENCE_MS * 1e6;
  while (!done()) {
    if (realClock.nowNs() > deadlineNs)
      throw new LabError(`after ${PATIENCE_MS / 1000} s it is still not so that ${what}`);
    await sleep(10);
  }
}

interface DemoResult {
  readonly there: VmmMigrationReport;
  readonly back: MigrationReport;
  readonly probed: EchoProbeReport;
  readonly stored: KvReport;
}

function finish(options: DemoOptions, { there, back, probed, stored }: DemoResult): void {
  if (options.json) {
    printJson({ migration: there, verified: back, probe: probed, store: stored });
  } else {
    const throughput = phasesOf(there, stored.series);
    const latency = phasesOf(there, probed.series);
    printTable(
      ['', ''],
      [
        ...reportRows(there).filter(([name]) => name !== 'verifier'),
        ['verifier, there', verifierText(there)],
        ['verifier, back', verifierText(back)],
        [
          'peer: probes',
          `${probed.sent} sent, ${probed.lost} lost, ${probed.duplicates} duplicated, ${probed.corrupt} corrupt`,
        ],
        [
          'peer: longest gap',
          `${formatMs(probed.longestGapMs)} (the peer itself stalled ${formatMs(probed.longestStallMs)} at worst)`,
        ],
        [
          'store requests/s',
          `before ${throughput.before.rate}, during ${throughput.during.rate}, after ${throughput.after.rate}`,
        ],
        [
          'probe latency, mean',
          `before ${latency.before.mean} us, during ${latency.during.mean} us, after ${latency.after.mean} us`,
        ],
        [
          'store replies',
          `${stored.hits} values read and compared, ${stored.corrupt} corrupt, ${stored.checksumErrors} checksum errors, ` +
            `${stored.retransmits} requests repeated`,
        ],
      ],
    );
  }
  const file = resolve(options.html);
  writeFileSync(
    file,
    migrationPage(there, [rateChart(there, stored.series), latencyChart(there, probed.series)]),
  );
  process.stderr.write(`the whole report as a page: ${file}\n`);
  if (options.record !== undefined) writeRecord(options.record, options, there, probed, stored);
}

function writeRecord(
  file: string,
  { mode, memory, megabytes, rate }: DemoOptions,
  there: VmmMigrationReport,
  probed: EchoProbeReport,
  stored: KvReport,
): void {
  const plugin = 'plugins/srvm';
  const record = migrationRecord(there, {
    inputs: {
      mode,
      memory,
      megabytes,
      rate,
      loadSeed: LOAD_SEED,
      probeHz: PROBE_HZ,
      node: process.versions.node,
    },
    plugin,
    mode,
    series: { 'store requests': stored.series, probes: probed.series },
  });
  writeFileSync(file, record);
  process.stderr.write(
    `the first migration as a trace, for Perfetto: ${file}\n` +
      `it cannot be replayed; the nearest that can: ${nearestSimulation(plugin, mode, there.image)}\n`,
  );
}

interface Mean {
  readonly rate: number;
  readonly mean: number;
}

/** Events per second and mean value before, during and after the migration. */
function phasesOf(
  report: MigrationReport,
  series: TimeSeriesReport,
): Record<'before' | 'during' | 'after', Mean> {
  const startNs = report.startedAtNs;
  const endNs = startNs + report.totalMs * 1e6;
  const windowNs = STEADY_MS * 0.8 * 1e6;
  return {
    before: meanOf(series, startNs - windowNs, startNs),
    during: meanOf(series, startNs, endNs),
    after: meanOf(series, endNs, endNs + windowNs),
  };
}

function meanOf({ startNs, bucketMs, counts, sums }: TimeSeriesReport, fromNs: number, toNs: number): Mean {
  const bucketNs = bucketMs * 1e6;
  const first = Math.max(0, Math.round((fromNs - startNs) / bucketNs));
  const last = Math.max(first + 1, Math.round((toNs - startNs) / bucketNs));
  const count = counts.slice(first, last).reduce((sum, each) => sum + each, 0);
  const total = sums.slice(first, last).reduce((sum, each) => sum + each, 0);
  return {
    rate: Math.round(count / (((last - first) * bucketMs) / 1e3)),
    mean: count === 0 ? 0 : Math.round(total / count),
  };
}

const secondsOf = (report: MigrationReport, { startNs, bucketMs, counts }: TimeSeriesReport): number[] =>
  counts.map((_, i) => (startNs - report.startedAtNs) / 1e9 + ((i + 0.5) * bucketMs) / 1e3);

function rateChart(report: MigrationReport, series: TimeSeriesReport): Chart {
  return {
    title: 'Throughput at the peer: store requests answered',
    unit: 'requests/s',
    kind: 'line',
    x: secondsOf(report, series),
    lines: [{ label: 'requests/s', values: series.counts.map((count) => (count * 1e3) / series.bucketMs) }],
  };
}

function latencyChart(report: MigrationReport, series: TimeSeriesReport): Chart {
  return {
    title: 'Latency at the peer: echo probes',
    unit: 'us',
    kind: 'line',
    x: secondsOf(report, series),
    lines: [
      {
        label: 'mean',
        values: series.counts.map((count, i) => (count > 0 ? series.sums[i]! / count : null)),
      },
      { label: 'max', values: series.counts.map((count, i) => (count > 0 ? series.maxima[i]! : null)) },
    ],
  };
}
