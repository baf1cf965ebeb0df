/**
 * One method, one load, one migration: two VMM processes, a switch and a load between them, and what was seen.
 *
 *   boot -> load until it runs evenly -> [before] -> [during: order to migrate .. guest stopped] -> stop -> [after]
 *                                                    [whole: order to migrate .................. guest runs]
 *
 * All windows are cut afterwards out of one log of replies, at the moments that the engine's report names.
 */

import type { VmmMigrationReport } from '../../control/vmm-migration.js';
import { realClock } from '../../hardware/clock.js';
import { EchoLoad, type EchoLoadReport, type Offer } from '../../measure/load/echo-load.js';
import type { SliceFigures } from '../../measure/load/reply-log.js';
import type { ThreadInfo } from '../../measure/threads.js';
import type { DestinationResult } from '../../migration/destination.js';
import { followMigration } from '../follow-migration.js';
import { Lab, LabError, sleep, type VmmProcess } from '../lab.js';
import { type CpuByCore, cpuSeconds, cpuShares } from './cpu.js';
import type { Method } from './methods.js';

export interface TrialOptions {
  readonly method: Method;
  readonly memory: string;
  readonly load: Offer;
  readonly payloadBytes: number;
  /** Compare every page at the destination: it lengthens the stop. */
  readonly verify: boolean;
  /** Which of the runs it belongs to. */
  readonly run: number;
}

export interface Trial {
  readonly method: string;
  readonly run: number;
  readonly report: VmmMigrationReport;
  readonly load: EchoLoadReport;
  readonly before: SliceFigures;
  readonly during: SliceFigures;
  /** From the order to migrate until the guest ran again, its stop included. */
  readonly whole: SliceFigures;
  readonly after: SliceFigures;
  /** Longest time without a reply from the order to migrate on, and in the window before, for comparison. */
  readonly gapMs: number;
  readonly quietGapMs: number;
  /** CPU of both processes: shares of a core in the window before, seconds from the order to the end of the migration. */
  readonly cpuBefore: CpuByCore;
  readonly cpuDuring: CpuByCore;
  /** What the destination counted; null when the guest did not arrive. */
  readonly arrival: Arrival | null;
  readonly curve: Curve;
}

export type Arrival = Pick<DestinationResult, 'receiverCpuNs' | 'tracker' | 'restoreMs' | 'activateMs'>;

/** Seen from the order to migrate on, in slices of `bucketMs`; the first begins at `fromMs` (before it). */
export interface Curve {
  readonly fromMs: number;
  readonly bucketMs: number;
  readonly perSecond: readonly number[];
  readonly medianUs: readonly (number | null)[];
}

const GUEST_IP = '10.0.0.2';
const guestMac = (index: number): string => `52:54:00:00:00:0${index + 1}`;
const PEER = { mac: '52:54:00:00:00:fe', ip: '10.0.0.1' } as const;
/** Compilers warm up while the load goes on: it runs evenly when two looks in a row see about the same. */
const LOOK_MS = 300;
const MOST_LOOKS = 10;
const EVEN = 0.1;
const WINDOW_MS = 1500;
const DRAIN_MS = 200;
const ARRIVAL_MS = 5000;
const FIRST_REPLY_MS = 20_000;
const BUCKET_MS = 50;
/**
 * The pages of a small guest are copied in a moment. Under this cap the copying of what its rings dirty lasts long enough
 * for throughput in pre-copy to be seen; it does not apply while the guest stands still.
 */
const MAX_BANDWIDTH = 4 * 2 ** 20;
const MAX_ROUNDS = 3;

export async function runTrial(options: TrialOptions): Promise<Trial> {
  const { method, memory, payloadBytes } = options;
  const lab = Lab.create();
  try {
    const hop = `unix:${lab.folder}/hop.sock`;
    const hosts = method.iommuDirtyBits ? ['--iommu', 'dirty-bits=on'] : [];
    const [here, there] = [lab.port('p0'), lab.port('p1')];
    const [source, destination] = await Promise.all([
      lab.vmm('compare-a', [
        ...['run', method.imageFolder, '--memory', memory, '--append', `ip=${GUEST_IP}`, ...hosts],
        ...method.devices.flatMap((device, index) => [`--${device}`, `mac=${guestMac(index)},wire=${here}`]),
      ]),
      lab.vmm('compare-b', [
        ...['receive', '--listen', hop, ...hosts],
        ...(method.plugin === null ? [] : ['--plugin', method.plugin]),
        ...method.devices.flatMap((device) => [`--${device}`, `wire=${there}`]),
      ]),
    ]);
    const load = new EchoLoad({
      peer: lab.peer(PEER.mac, PEER.ip),
      targetIp: GUEST_IP,
      offer: options.load,
      payloadBytes,
    });
    load.start();
    await firstReply(load, method);
    await untilEven(load);
    return await observe(options, { source, destination, hop, load });
  } finally {
    await lab.close();
  }
}

interface Scene {
  readonly source: VmmProcess;
  readonly destination: VmmProcess;
  readonly hop: string;
  readonly load: EchoLoad;
}

async function observe(options: TrialOptions, { source, destination, hop, load }: Scene): Promise<Trial> {
  const { method, verify } = options;
  const began = await Promise.all([threadsOf(source), threadsOf(destination)]);
  await sleep(WINDOW_MS);
  const ordered = await Promise.all([threadsOf(source), threadsOf(destination)]);
  const report = await followMigration(source.qmp, {
    uri: hop,
    ...(method.plugin === null ? {} : { plugin: method.plugin, pluginOptions: method.options }),
    parameters: {
      'downtime-limit': 1,
      'max-bandwidth': MAX_BANDWIDTH,
      'x-srvm-max-rounds': MAX_ROUNDS,
      'x-srvm-verify': verify,
    },
  });
  const arrived = await threadsOf(destination);
  await sleep(WINDOW_MS);
  load.stop();
  await sleep(DRAIN_MS);
  const arrival = report.outcome === 'completed' ? await arrivalAt(destination) : null;

  const orderNs = report.startedAtNs;
  const windowNs = WINDOW_MS * 1e6;
  const endNs = orderNs + (report.runningAtMs ?? report.totalMs) * 1e6;
  const stopNs = orderNs + (report.stoppedAtMs ?? report.totalMs) * 1e6;
  const { replies } = load;
  return {
    method: method.name,
    run: options.run,
    report,
    load: load.report(),
    before: replies.slice(orderNs - windowNs, orderNs),
    during: replies.slice(orderNs, stopNs),
    whole: replies.slice(orderNs, endNs),
    after: replies.slice(endNs, endNs + windowNs),
    gapMs: replies.longestGapNs(orderNs, endNs + windowNs) / 1e6,
    quietGapMs: replies.longestGapNs(orderNs - windowNs, orderNs) / 1e6,
    cpuBefore: cpuShares(began, ordered, WINDOW_MS),
    cpuDuring: cpuSeconds(report, arrival, ordered[1], arrived),
    arrival,
    curve: curveOf(load, orderNs, endNs + windowNs),
  };
}

function curveOf({ replies }: EchoLoad, orderNs: number, untilNs: number): Curve {
  const fromNs = orderNs - WINDOW_MS * 1e6;
  const bucketNs = BUCKET_MS * 1e6;
  const buckets = Math.max(1, Math.floor((untilNs - fromNs) / bucketNs));
  return {
    fromMs: WINDOW_MS,
    bucketMs: BUCKET_MS,
    perSecond: replies.rates(fromNs, bucketNs, buckets),
    medianUs: replies.medians(fromNs, bucketNs, buckets),
  };
}

async function untilEven({ replies }: EchoLoad): Promise<void> {
  let before = Number.NaN;
  for (let look = 0; look < MOST_LOOKS; look++) {
    await sleep(LOOK_MS);
    const nowNs = realClock.nowNs();
    const { perSecond } = replies.slice(nowNs - LOOK_MS * 1e6, nowNs);
    if (Math.abs(perSecond - before) <= before * EVEN) return;
    before = perSecond;
  }
}

/** What a plugin does after commitment goes on while the guest runs already. */
async function arrivalAt({ qmp }: VmmProcess): Promise<Arrival | null> {
  for (let waitedMs = 0; waitedMs < ARRIVAL_MS; waitedMs += 50) {
    const { result } = await qmp.execute<{ result: Arrival | null }>('x-srvm-query-incoming');
    if (result !== null) return result;
    await sleep(50);
  }
  return null;
}

const threadsOf = ({ qmp }: VmmProcess): Promise<ThreadInfo[]> => qmp.execute('x-srvm-query-threads');

async function firstReply({ replies }: EchoLoad, { name }: Method): Promise<void> {
  for (let waitedMs = 0; replies.count === 0; waitedMs += 10) {
    if (waitedMs > FIRST_REPLY_MS)
      throw new LabError(`${name}: the guest did not answer within ${FIRST_REPLY_MS / 1000} s`);
    await sleep(10);
  }
}
