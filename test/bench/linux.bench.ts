/**
 * Debian's riscv64 kernel on srvm, and, with --against qemu, on QEMU in the same run: how fast it boots, computes, sends,
 * receives, and moves.
 *
 *   boots -> integer loop -> TCP in, TCP out -> idle moves -> moves under TCP, with a 1 kHz ping beside it -> (next monitor)
 *
 * Guest, card, switch, stations and both ends of a migration share the machine's cores; a ping may be late because its own
 * process was: that is printed beside the gap, and so is the gap of the same time without a migration.
 */
import { Lab, sleep } from '../../src/cli/lab.js';
import { type Benchmark, type BenchmarkOptions, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import type { EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import { IperfClient } from '../../src/measure/load/iperf-client.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { isImageBuilt, NOT_BUILT } from '../scenarios/linux-guests.js';
import { logSlowdowns } from './linux-log-cost.js';
import { arithmeticInstructions, arithmeticProgram, typedProgram } from './linux-programs.js';
import { QemuSubject, qemuVersion } from './linux-qemu.js';
import { SrvmSubject } from './linux-srvm.js';
import { type Boot, GUEST, type Guest, type Move, type Subject } from './linux-subject.js';
import { probeWhile } from './probe-while.js';

const BOOTS = 3;
const LOOP_RUNS = 5;
/** Of a loop whose length is measured first. */
const LOOP_MS = 1500;
const TRIAL_ROUNDS = 1_000_000;
const TRIAL_MS = 200;
const MOST_ROUNDS = 2 ** 30;
const TCP_SAMPLES = 5;
const SAMPLE_MS = 1000;
const WARM_UP_MS = 1000;
const IDLE_MOVES = 6;
const LOADED_MOVES = 4;
/** Before a move and after it. */
const MARGIN_MS = 700;
const SETTLE_MS = 1000;
const PROBE_HZ = 1000;
const PEER = { mac: '52:54:00:00:00:fe', ip: '10.0.0.1' } as const;
const METHODS = ['scan', 'shadow-doorbell'] as const;

interface LoadedMove {
  readonly move: Move;
  readonly probe: EchoProbeReport;
  readonly quiet: EchoProbeReport;
  /** Mb/s before and after. */
  readonly before: number;
  readonly after: number;
}

interface Results {
  readonly boots: Boot[];
  readonly mips: number[];
  readonly tcpIn: number[];
  readonly tcpOut: number[];
  readonly idle: Move[];
  readonly loadedIn: LoadedMove[];
  readonly loadedOut: LoadedMove[];
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

async function loopMips({ shell }: Guest): Promise<number[]> {
  const timed = async (rounds: number): Promise<number> => {
    for (const line of typedProgram(arithmeticProgram(rounds), '/tmp/loop')) await shell.run(line);
    const startedMs = performance.now();
    const { status, output } = await shell.run('/tmp/loop', 120_000);
    if (status !== 0) throw new Error(`the integer loop ended with ${status}: ${output}`);
    return performance.now() - startedMs;
  };
  // what typing, starting and ending a program takes is the same for every length, but not every time
  const shorts: number[] = [];
  const overShort = async (rounds: number): Promise<number> => {
    shorts.push(await timed(1));
    return (await timed(rounds)) - rowOf('', shorts).median;
  };
  await timed(1);
  let rounds = TRIAL_ROUNDS;
  // the quicker of two: a disturbed one would make every run too short to be told from its start
  const trial = async (): Promise<number> => Math.min(await overShort(rounds), await overShort(rounds));
  let trialMs = await trial();
  for (; trialMs < TRIAL_MS && rounds < MOST_ROUNDS; trialMs = await trial()) rounds *= 4;
  rounds = Math.min(Math.round((rounds * LOOP_MS) / Math.max(trialMs, TRIAL_MS)), MOST_ROUNDS);
  const mips: number[] = [];
  for (let run = 0; run < LOOP_RUNS; run++) {
    mips.push(arithmeticInstructions(rounds) / 1e3 / (await overShort(rounds)));
  }
  return mips;
}

async function mbps(client: IperfClient, ms: number): Promise<number> {
  const [bytes, atMs] = [client.bytes, performance.now()];
  await sleep(ms);
  return ((client.bytes - bytes) * 8) / 1e3 / (performance.now() - atMs);
}

async function withTcp<T>(
  peer: TrafficPeer,
  reverse: boolean,
  action: (client: IperfClient) => Promise<T>,
): Promise<T> {
  const client = new IperfClient({ peer, targetIp: GUEST.ip, reverse });
  await client.start();
  try {
    await sleep(WARM_UP_MS);
    return await action(client);
  } finally {
    await client.stop();
  }
}

function loadedMove(guest: Guest, peer: TrafficPeer, reverse: boolean, index: number): Promise<LoadedMove> {
  const options = { peer, targetIp: GUEST.ip, rateHz: PROBE_HZ, ping: true };
  return withTcp(peer, reverse, async (client) => {
    const before = await mbps(client, SAMPLE_MS);
    const [probe, move] = await probeWhile(options, MARGIN_MS, () => guest.move(METHODS[index % 2]!));
    const after = client.isOpen ? await mbps(client, SAMPLE_MS) : 0;
    const [quiet] = await probeWhile(options, MARGIN_MS, () => sleep(move.totalMs));
    return { move, probe, quiet, before, after };
  });
}

/** What could be measured: a guest that does not come back from a move ends it there, and that is told. */
export async function measure(subject: Subject, peer: TrafficPeer): Promise<Results> {
  const results: Results = {
    boots: [],
    mips: [],
    tcpIn: [],
    tcpOut: [],
    idle: [],
    loadedIn: [],
    loadedOut: [],
  };
  let guest: Guest | null = null;
  let stage = 'boots';
  const begin = (next: string): void => {
    stage = next;
    say(`${subject.name}: ${stage}`);
  };
  try {
    begin('boots');
    for (let boot = 0; boot < BOOTS; boot++) {
      await guest?.close();
      guest = null;
      guest = await subject.start();
      results.boots.push(guest.boot);
    }
    await measureGuest(guest!, peer, results, begin);
    begin('moves under TCP');
    guest = await measureLoadedMoves(subject, guest!, peer, results);
  } catch (error) {
    say(
      `${subject.name}: ${stage} failed, and what would have followed is left out: ${(error as Error).message}`,
    );
  } finally {
    await guest?.close();
  }
  return results;
}

async function measureGuest(
  guest: Guest,
  peer: TrafficPeer,
  results: Results,
  begin: (stage: string) => void,
): Promise<void> {
  begin('integer loop');
  results.mips.push(...(await loopMips(guest)));
  begin('TCP');
  for (const [reverse, into] of [
    [false, results.tcpIn],
    [true, results.tcpOut],
  ] as const) {
    await withTcp(peer, reverse, async (client) => {
      for (let sample = 0; sample < TCP_SAMPLES; sample++) into.push(await mbps(client, SAMPLE_MS));
    });
  }
  begin('moves while idle');
  for (let index = 0; index < IDLE_MOVES; index++) {
    await sleep(SETTLE_MS);
    results.idle.push(await guest.move(METHODS[index % 2]!));
  }
}

/** Returns the guest that it has left. */
async function measureLoadedMoves(
  subject: Subject,
  first: Guest,
  peer: TrafficPeer,
  results: Results,
): Promise<Guest> {
  let guest = first;
  for (let move = 0; move < 2 * LOADED_MOVES; move++) {
    if (subject.wantsFreshGuests) {
      await guest.close();
      guest = await subject.start();
    }
    const [reverse, index] = [move % 2 === 1, move >> 1];
    (reverse ? results.loadedOut : results.loadedIn).push(await loadedMove(guest, peer, reverse, index));
  }
  return guest;
}

type Reach = { readonly atLeast?: number; readonly atMost?: number };

/** Goals are srvm's own. */
export function rowsOf(name: string, results: Results, hasGoals: boolean): BenchRow[] {
  const row = (what: string, samples: readonly number[], reach?: Reach): BenchRow[] =>
    samples.length === 0 ? [] : [rowOf(`${name}: ${what}`, samples, hasGoals ? reach : undefined)];
  const { boots, idle } = results;
  const loaded = (direction: string, moves: readonly LoadedMove[]) => [
    ...row(
      `TCP ${direction}, moving: longest gap of a 1 kHz ping, ms`,
      moves.map(({ probe }) => probe.longestGapMs),
      { atMost: 30 },
    ),
    ...row(
      '  the same time without moving, ms',
      moves.map(({ quiet }) => quiet.longestGapMs),
    ),
    ...row(
      '  how late the ping itself was at worst, ms',
      moves.map(({ probe }) => probe.longestStallMs),
    ),
    ...row(
      '  pings lost',
      moves.map(({ probe }) => probe.lost),
    ),
    ...row(
      '  traffic afterwards / before',
      moves.map(({ before, after }) => after / before),
    ),
    ...row(
      '  total time, ms',
      moves.map(({ move }) => move.totalMs),
    ),
  ];
  return [
    ...row(
      'boot to /init from the start of the process, s',
      boots.map(({ wallMs }) => wallMs / 1e3),
      { atMost: 6 },
    ),
    ...row(
      "  by the guest's own clock, s",
      boots.map(({ guestMs }) => guestMs / 1e3),
    ),
    ...row('integer loop, MIPS', results.mips, { atLeast: 150 }),
    ...row('TCP into the guest, Mb/s', results.tcpIn, { atLeast: 300 }),
    ...row('TCP out of the guest, Mb/s', results.tcpOut, { atLeast: 1000 }),
    ...row(
      `idle ${GUEST.memoryMiB} MiB, total time, ms`,
      idle.map(({ totalMs }) => totalMs),
      { atMost: 190 },
    ),
    ...row(
      '  downtime as the monitor says, ms',
      idle.map(({ downtimeMs }) => downtimeMs),
    ),
    ...loaded('in', results.loadedIn),
    ...loaded('out', results.loadedOut),
  ];
}

/** What cannot be measured is told, and costs nothing of the rest. */
async function attempt(what: string, action: () => Promise<BenchRow[]>): Promise<BenchRow[]> {
  try {
    return await action();
  } catch (error) {
    say(`${what} was not measured to its end: ${(error as Error).message}`);
    return [];
  }
}

async function run(options: BenchmarkOptions = {}): Promise<BenchRow[]> {
  if (!isImageBuilt) {
    say(`nothing was measured: ${NOT_BUILT}`);
    return [];
  }
  const lab = Lab.create();
  try {
    const peer = lab.peer(PEER.mac, PEER.ip);
    const rows = await attempt('srvm', async () =>
      rowsOf('srvm', await measure(new SrvmSubject(lab), peer), true),
    );
    say('srvm: the dirty log');
    const slower = 'srvm: slower by the dirty log, a program that copies memory, x';
    rows.push(
      ...(await attempt('the dirty log', async () => [
        rowOf(slower, await logSlowdowns(), { atMost: 1.05 }),
      ])),
    );
    if (options.against !== 'qemu') return rows;
    const version = qemuVersion();
    if (version === null) {
      say('QEMU was not measured: qemu-system-riscv64 is not installed (Debian: qemu-system-misc, opensbi)');
      return rows;
    }
    say(`beside it: ${version}; virtio-net, as its emulated VF does not survive a migration`);
    const beside = await attempt('QEMU', async () =>
      rowsOf('qemu', await measure(new QemuSubject(lab), peer), false),
    );
    return [...rows, ...beside];
  } finally {
    await lab.close();
  }
}

export const benchmark: Benchmark = {
  name: 'linux',
  what: `Debian's riscv64 kernel, ${GUEST.memoryMiB} MiB, default command line of the image; stock ixgbevf on an SR-IOV VF`,
  run,
};
