/**
 * What pre-copy takes from a guest: packets that packet-sink receives and verifies while its pages are copied, against the
 * seconds before, at a load the machine carries.
 *
 * The load comes from a process of its own (this one: generator and switch). Together with the card, the vCPU, the
 * tracker and sender and receiver that is more threads than a small machine has cores: the load is sought below what it
 * can carry before any migration, and the bandwidth cap keeps pre-copy going for some seconds.
 */
import { availableParallelism } from 'node:os';
import { sleep, type VmmProcess } from '../../src/cli/lab.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { BulkSender } from '../../src/measure/load/bulk-sender.js';
import { GUEST_IP, PingPong } from './ping-pong.js';

const FRAME_BYTES = 1518;
/** Tried from the first on, until one is carried. */
const RATES_FPS = [100_000, 70_000, 50_000, 35_000, 25_000, 17_000, 12_000, 8_000];
/** Received of offered, for a rate to count as carried. */
const CARRIED = 0.98;
const TRIAL_MS = 500;
const BEFORE_MS = 1500;
const SAMPLE_MS = 50;
const HOPS = 4;
/** The rings' buffers are written all the time: about so many bytes are due in every round. */
const MAX_BANDWIDTH = 3 * 2 ** 20;
const MAX_ROUNDS = 4;

interface Look {
  readonly atMs: number;
  readonly packets: number;
}

interface Hop {
  readonly ratio: number;
  readonly preCopyMs: number;
  readonly beforeFps: number;
  readonly coverageMissed: number;
}

async function look({ qmp }: VmmProcess): Promise<Look> {
  const stats = await qmp.execute<{ vfs: { goodPacketsReceived: number }[] }>('x-srvm-query-stats');
  return { atMs: performance.now(), packets: stats.vfs[0]?.goodPacketsReceived ?? 0 };
}

const rateOf = (from: Look, to: Look): number =>
  ((to.packets - from.packets) * 1e3) / Math.max(to.atMs - from.atMs, 1e-3);

async function receivedFps(vmm: VmmProcess, forMs: number): Promise<number> {
  const from = await look(vmm);
  await sleep(forMs);
  return rateOf(from, await look(vmm));
}

/** The highest of the rates that the guest receives nearly all of; the sender goes on with it. */
async function seekRate(lab: PingPong, load: BulkSender): Promise<number> {
  for (const rateFps of RATES_FPS) {
    load.setRate(rateFps);
    await sleep(TRIAL_MS);
    if ((await receivedFps(lab.holder, TRIAL_MS)) >= rateFps * CARRIED) return rateFps;
  }
  return RATES_FPS.at(-1)!;
}

async function migrate(lab: PingPong, mode: 'scan' | 'shadow-doorbell'): Promise<Hop> {
  const source = lab.holder;
  const beforeFps = await receivedFps(source, BEFORE_MS);
  const looks: Look[] = [];
  let copying = false;
  const onPhase = (phase: string): void => {
    copying = phase === 'pre-copy';
  };
  let over = false;
  const watching = (async () => {
    for (; !over; await sleep(SAMPLE_MS)) {
      if (!copying) continue;
      const seen = await look(source);
      // a look that came back after pre-copy's end has the stop in it
      if (copying) looks.push(seen);
    }
  })();
  const report = await lab.hop(mode, { onPhase }).finally(() => {
    over = true;
  });
  await watching;
  const first = looks[0];
  const last = looks.at(-1);
  if (!first || !last || last === first)
    throw new Error('precopy-throughput: pre-copy was over before it was seen');
  return {
    ratio: rateOf(first, last) / beforeFps,
    preCopyMs: last.atMs - first.atMs,
    beforeFps,
    coverageMissed: report.dmaCoverage?.pagesMissed ?? Number.NaN,
  };
}

function rowsOf(mode: string, hops: readonly Hop[]): BenchRow[] {
  const of = (field: keyof Hop, unit = 1): number[] => hops.map((hop) => hop[field] / unit);
  return [
    rowOf(`${mode}: received in pre-copy / before`, of('ratio'), { atLeast: 0.9 }),
    rowOf(`${mode}: received before, kpps`, of('beforeFps', 1e3)),
    rowOf(`${mode}: pre-copy lasted, s`, of('preCopyMs', 1e3)),
    rowOf(`${mode}: DMA-written pages missed`, of('coverageMissed'), { atMost: 0 }),
  ];
}

export const benchmark: Benchmark = {
  name: 'precopy-throughput',
  what: `packet-sink at ${FRAME_BYTES} B, migrated between two processes; ${availableParallelism()} cores for source, destination, switch and load`,
  async run() {
    const lab = await PingPong.start({
      image: 'guest-images/packet-sink',
      memory: '64M',
      parameters: { 'max-bandwidth': MAX_BANDWIDTH, 'x-srvm-max-rounds': MAX_ROUNDS, 'downtime-limit': 1 },
    });
    try {
      const load = new BulkSender({
        peer: lab.peer(),
        targetIp: GUEST_IP,
        frameBytes: FRAME_BYTES,
        rateFps: RATES_FPS[0]!,
        flows: 4,
      });
      load.start();
      const offeredFps = await seekRate(lab, load);
      const hops = { scan: [] as Hop[], 'shadow-doorbell': [] as Hop[] };
      for (let hop = 0; hop < HOPS; hop++) {
        const mode = hop % 2 === 0 ? 'scan' : 'shadow-doorbell';
        hops[mode].push(await migrate(lab, mode));
        await sleep(300);
      }
      return [
        rowOf('offered load, Gb/s', [(offeredFps * FRAME_BYTES * 8) / 1e9]),
        ...rowsOf('scan', hops.scan),
        ...rowsOf('shadow-doorbell', hops['shadow-doorbell']),
      ];
    } finally {
      await lab.close();
    }
  },
};
