/**
 * How long a migration looked to the guest's peer: a 1 kHz echo probe, while a store guest of 256 MiB answers a client.
 *
 * Two VMM processes, the switch and both loads share the machine's cores. What the machine itself does to the probe is
 * shown beside: the longest gap of the same guest over the same time without a migration, and how late the probe was.
 */
import { sleep } from '../../src/cli/lab.js';
import { seededRandom } from '../../src/hardware/clock.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import type { EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import { KvClient } from '../../src/measure/load/kv-client.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { GUEST_IP, PingPong } from './ping-pong.js';
import { probeWhile } from './probe-while.js';

const HOPS = 10;
const REQUESTS_PER_S = 4000;
const VALUE_BYTES = 1024;
const KEYS = 8 * 1024;
const FILL_LIMIT_MS = 15_000;
/** Before and after each migration: what the probe sees must be the migration's. */
const MARGIN_MS = 250;
const PROBE_HZ = 1000;

interface Hop {
  readonly quiet: EchoProbeReport;
  readonly probe: EchoProbeReport;
  readonly migration: MigrationReport;
}

async function filled(client: KvClient): Promise<void> {
  client.start();
  for (let waitedMs = 0; client.phase !== 'mixed'; waitedMs += 20) {
    if (waitedMs > FILL_LIMIT_MS) throw new Error('peer-gap: the guest did not take its values in time');
    await sleep(20);
  }
}

function rowsOf(mode: string, hops: readonly Hop[]): BenchRow[] {
  const row = (what: string, of: (hop: Hop) => number, atMost?: number): BenchRow =>
    rowOf(
      `${mode}: ${what}`,
      hops.map((hop) => of(hop)),
      atMost === undefined ? undefined : { atMost },
    );
  return [
    row('longest gap at the peer, ms', ({ probe }) => probe.longestGapMs, 20),
    row('  the same time without a migration, ms', ({ quiet }) => quiet.longestGapMs),
    row('  how late the probe itself was, ms', ({ probe }) => probe.longestStallMs),
    row('probes lost', ({ probe }) => probe.lost),
    row('downtime as the engine saw it, ms', ({ migration }) => migration.downtimeMs ?? Number.NaN),
    row('total time, ms', ({ migration }) => migration.totalMs),
  ];
}

export const benchmark: Benchmark = {
  name: 'peer-gap',
  what: `longest gap of a ${PROBE_HZ} Hz echo probe; kv-store of 256 MiB, ${KEYS / 1024} MiB of a client's values and 24 MiB of its own, ${REQUESTS_PER_S} requests/s meanwhile`,
  async run() {
    const lab = await PingPong.start({
      image: 'guest-images/kv-store',
      memory: '256M',
      commandLine: `ip=${GUEST_IP} store=64M fill=24M scrub=1000`,
    });
    try {
      const peer = lab.peer();
      const probeOptions = { peer, targetIp: GUEST_IP, rateHz: PROBE_HZ };
      const client = new KvClient({
        peer,
        random: seededRandom(1),
        targetIp: GUEST_IP,
        keys: KEYS,
        minValueBytes: VALUE_BYTES,
        maxValueBytes: VALUE_BYTES,
        rateHz: REQUESTS_PER_S,
      });
      await filled(client);
      const hops = { scan: [] as Hop[], 'shadow-doorbell': [] as Hop[] };
      for (let hop = 0; hop < HOPS; hop++) {
        const mode = hop % 2 === 0 ? 'scan' : 'shadow-doorbell';
        const [probe, migration] = await probeWhile(probeOptions, MARGIN_MS, () => lab.hop(mode));
        const [quiet] = await probeWhile(probeOptions, MARGIN_MS, () => sleep(migration.totalMs));
        hops[mode].push({ quiet, probe, migration });
      }
      const { corrupt, lost } = client.report();
      return [
        ...rowsOf('scan', hops.scan),
        ...rowsOf('shadow-doorbell', hops['shadow-doorbell']),
        rowOf('store replies that were wrong or never came', [corrupt + lost], { atMost: 0 }),
      ];
    } finally {
      await lab.close();
    }
  },
};
