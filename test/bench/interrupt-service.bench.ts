/**
 * What each of the SR-IOV architecture's optimisations does (Dong et al.): one row each, with it and without it. A guest echoes
 * datagrams: as many as it can, 64 being under way, for throughput; and at a steady rate, for latency and for CPU by datagram.
 *
 *   mask   the guest's driver masks its vector in the MSI-X table while it handles it (mask=table), as drivers of the time did
 *   eoi    every interrupt's end is an exit
 *   itr    who sets the interval between two interrupts
 *
 * Every variant boots its own VM, the variants take turns, and medians over the turns are shown.
 */
import { fileURLToPath } from 'node:url';
import { grown } from '../../src/cli/compare/cpu.js';
import { Lab, sleep, type VmmProcess } from '../../src/cli/lab.js';
import { printTable } from '../../src/cli/output.js';
import { realClock } from '../../src/hardware/clock.js';
import type { ExitCounts } from '../../src/hypervisor/vm-exits.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { EchoLoad, type Offer } from '../../src/measure/load/echo-load.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import type { ThreadInfo } from '../../src/measure/threads.js';
import { COUNTER, queryGuest } from '../scenarios/shuttle.js';

const TURNS = 3;
const WARM_UP_MS = 700;
const MEASURED_MS = 2000;
const RATE_HZ = 3000;
const WINDOW = 64;
const PAYLOAD_BYTES = 200;
const GUEST_IP = '10.0.0.2';

interface Variant {
  readonly name: string;
  readonly append?: string;
  readonly flags: readonly string[];
}

const MASKING = 'mask=table';
const VARIANTS: readonly Variant[] = [
  { name: 'all on, the driver sets the interval', flags: [] },
  { name: 'mask: accelerated', append: MASKING, flags: [] },
  { name: 'mask: --no-accel-mask', append: MASKING, flags: ['--no-accel-mask'] },
  { name: 'eoi: --no-accel-eoi', flags: ['--no-accel-eoi'] },
  { name: 'itr: off', flags: ['--itr', 'off'] },
  { name: 'itr: fixed=50', flags: ['--itr', 'fixed=50'] },
  { name: 'itr: adaptive', flags: ['--itr', 'adaptive'] },
];

interface Stats {
  readonly vcpu: { readonly exits: ExitCounts };
  readonly threads: readonly ThreadInfo[];
}

interface Measured {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** The rest at the steady rate, by 1000 datagrams and by datagram. */
  readonly exits: number;
  readonly servedElsewhere: number;
  readonly interrupts: number;
  readonly vcpuUs: number;
  readonly mainUs: number;
}

async function measure({ append = '', flags }: Variant, turn: number): Promise<Measured> {
  const lab = Lab.create();
  try {
    const vf = `mac=52:54:00:00:00:01,wire=${lab.port('p0')}`;
    const commandLine = `ip=${GUEST_IP} ${append}`.trim();
    const guest = ['guest-images/udp-echo', '--memory', '16M', '--append', commandLine, '--vf', vf];
    const vmm = await lab.vmm(`interrupts-${turn}-${process.pid}`, ['run', ...guest, ...flags]);
    const peer = lab.peer('52:54:00:00:00:fe', '10.0.0.1');
    await queryGuest(peer, GUEST_IP);
    const closed = await load(peer, { kind: 'window', datagrams: WINDOW }, async () => sleep(MEASURED_MS));
    let account: Omit<Measured, 'perSecond' | 'p50Us' | 'p99Us'> | null = null;
    const open = await load(peer, { kind: 'rate', perSecond: RATE_HZ }, async (replies) => {
      account = await accountOf(vmm, peer, replies);
    });
    return { perSecond: closed.perSecond, p50Us: open.p50Us ?? 0, p99Us: open.p99Us ?? 0, ...account! };
  } finally {
    await lab.close();
  }
}

async function load(peer: TrafficPeer, offer: Offer, measured: (replies: () => number) => Promise<void>) {
  const echo = new EchoLoad({ peer, targetIp: GUEST_IP, offer, payloadBytes: PAYLOAD_BYTES });
  echo.start();
  await sleep(WARM_UP_MS);
  const fromNs = realClock.nowNs();
  await measured(() => echo.replies.count);
  const figures = echo.replies.slice(fromNs, realClock.nowNs());
  echo.stop();
  return figures;
}

async function accountOf(vmm: VmmProcess, peer: TrafficPeer, replies: () => number) {
  const look = async () => ({
    stats: await vmm.qmp.execute<Stats>('x-srvm-query-stats'),
    interrupts: Number((await queryGuest(peer, GUEST_IP))[COUNTER.interrupts]),
    replies: replies(),
  });
  const before = await look();
  await sleep(MEASURED_MS);
  const after = await look();
  const datagrams = Math.max(1, after.replies - before.replies);
  const per1000 = (count: number): number => (count * 1000) / datagrams;
  const total = ({ servedElsewhere: _part, ...exits }: ExitCounts): number =>
    Object.values(exits).reduce((sum, count) => sum + count, 0);
  const [earlier, later] = [before.stats.vcpu.exits, after.stats.vcpu.exits];
  const cpuMs = grown(before.stats.threads, after.stats.threads);
  return {
    exits: per1000(total(later) - total(earlier)),
    servedElsewhere: per1000(later.servedElsewhere - earlier.servedElsewhere),
    interrupts: per1000(after.interrupts - before.interrupts),
    vcpuUs: per1000(cpuMs['vcpu'] ?? 0),
    mainUs: per1000(cpuMs['main'] ?? 0),
  };
}

const median = (samples: readonly number[]): number => rowOf('', samples).median;

function printMedians(measured: ReadonlyMap<string, readonly Measured[]>): void {
  printTable(
    [
      'variant',
      'datagrams/s',
      'p50 us',
      'p99 us',
      'exits/1000',
      'by main/1000',
      'interrupts/1000',
      'vCPU us each',
      'main us each',
    ],
    [...measured].map(([name, runs]) => {
      const of = (value: (run: Measured) => number): string => median(runs.map(value)).toFixed(1);
      return [
        name,
        of((run) => run.perSecond),
        of((run) => run.p50Us),
        of((run) => run.p99Us),
        of((run) => run.exits),
        of((run) => run.servedElsewhere),
        of((run) => run.interrupts),
        of((run) => run.vcpuUs),
        of((run) => run.mainUs),
      ];
    }),
  );
}

/** With the optimisation by without it, turn by turn. */
function effect(
  measured: ReadonlyMap<string, readonly Measured[]>,
  what: string,
  [on, off]: readonly [string, string],
): BenchRow[] {
  const ratio = (name: string, of: (run: Measured) => number): BenchRow =>
    rowOf(
      `${what}: ${name}, with it : without it`,
      measured.get(on)!.map((run, turn) => of(run) / Math.max(of(measured.get(off)![turn]!), 1e-9)),
    );
  return [
    ratio('datagrams/s', (run) => run.perSecond),
    ratio('latency p50', (run) => run.p50Us),
    ratio('vCPU and main CPU per datagram', (run) => run.vcpuUs + run.mainUs),
  ];
}

export const benchmark: Benchmark = {
  name: 'interrupt-service',
  what: `the SR-IOV architecture's optimisations, one row each; udp-echo, ${PAYLOAD_BYTES} B, ${WINDOW} under way for datagrams/s, else ${RATE_HZ}/s`,
  async run() {
    const measured = new Map<string, Measured[]>(VARIANTS.map(({ name }) => [name, []]));
    for (let turn = 0; turn < TURNS; turn++) {
      for (const variant of VARIANTS) measured.get(variant.name)!.push(await measure(variant, turn));
    }
    printMedians(measured);
    return [
      ...effect(measured, 'mask acceleration', ['mask: accelerated', 'mask: --no-accel-mask']),
      ...effect(measured, 'end-of-interrupt acceleration', [VARIANTS[0]!.name, 'eoi: --no-accel-eoi']),
      ...effect(measured, 'adaptive coalescing', ['itr: adaptive', 'itr: off']),
    ];
  },
};

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchmark.run());
