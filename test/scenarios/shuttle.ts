/**
 * A guest that travels between two VMM processes, and a station on its segment: what most scenarios stand on.
 *
 *   station == switch == VF of process A  <--migrate-->  VF of process B
 *
 * The process that a guest has left listens for its return, so any number of hops is possible.
 */
import { Lab, sleep, type VmmProcess } from '../../src/cli/lab.js';
import type { QmpClient } from '../../src/control/qmp-client.js';
import { realClock } from '../../src/hardware/clock.js';
import type { EchoProbe } from '../../src/measure/load/echo-probe.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { UdpSender } from '../../src/measure/load/udp-sender.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { migrateAndWait, type ScenarioMigration } from './migrations.js';

export const GUEST_IP = '10.0.0.2';
const STATION_IP = '10.0.0.1';
const STATION_MAC = '52:54:00:00:00:fe';
const PATIENCE_MS = 60_000;

export interface ShuttleOptions {
  /** Folder of the image; its defaults hold where nothing else is said. */
  readonly image: string;
  readonly memory?: string;
  /** Added to the guest's command line. */
  readonly append?: string;
  /** 0 = unlimited. */
  readonly linkSpeedMbps?: number;
  /** Further plugins that the destination knows, by folder. */
  readonly plugins?: readonly string[];
  /** The guest's interfaces, in the order of their slots; one VF when left out. All are on the one segment. */
  readonly devices?: readonly ('vf' | 'net' | 'vif')[];
  /** Cores of the self-virtualizing devices behind `vif`. */
  readonly vifCores?: number;
  /** Further arguments of both processes. */
  readonly both?: readonly string[];
  /** Further arguments of the process that boots the guest. */
  readonly run?: readonly string[];
}

interface Side {
  readonly vmm: VmmProcess;
  readonly wire: string;
}

export class Shuttle {
  readonly lab: Lab;
  readonly station: TrafficPeer;
  #here: Side;
  #there: Side;
  #uri: string;
  #hops = 0;
  /** What both processes are told. */
  readonly #both: readonly string[];
  readonly #devices: readonly ('vf' | 'net' | 'vif')[];

  private constructor(
    lab: Lab,
    station: TrafficPeer,
    [here, there]: readonly [Side, Side],
    uri: string,
    both: readonly string[],
    devices: readonly ('vf' | 'net' | 'vif')[],
  ) {
    this.lab = lab;
    this.station = station;
    this.#here = here;
    this.#there = there;
    this.#uri = uri;
    this.#both = both;
    this.#devices = devices;
  }

  /** Resolves when the guest answers on its network. */
  static async open(options: ShuttleOptions): Promise<Shuttle> {
    const { image, memory = '16M', append = '', linkSpeedMbps, plugins = [], run = [] } = options;
    const devices = options.devices ?? ['vf'];
    const lab = Lab.create();
    try {
      const speed = linkSpeedMbps === undefined ? [] : ['--link-speed', String(linkSpeedMbps)];
      const known = plugins.flatMap((plugin) => ['--plugin', plugin]);
      const both = [...speed, ...known, ...(options.both ?? [])];
      const wires = [lab.port('p0'), lab.port('p1')] as const;
      const uri = `unix:${lab.folder}/hop-0.sock`;
      const deviceCores = (device: string): string =>
        device === 'vif' && options.vifCores !== undefined ? `,cores=${options.vifCores}` : '';
      const machine = ['--memory', memory, '--append', `ip=${GUEST_IP} ${append}`.trim(), ...both];
      const [a, b] = await Promise.all([
        lab.vmm(`a-${process.pid}`, [
          ...['run', image, ...machine],
          ...devices.flatMap((device, index) => [
            `--${device}`,
            `mac=${guestMac(index)},wire=${wires[0]}${deviceCores(device)}`,
          ]),
          ...run,
        ]),
        lab.vmm(`b-${process.pid}`, receiveArguments(uri, wires[1], devices, both)),
      ]);
      const station = lab.peer(STATION_MAC, STATION_IP);
      const shuttle = new Shuttle(
        lab,
        station,
        [
          { vmm: a, wire: wires[0] },
          { vmm: b, wire: wires[1] },
        ],
        uri,
        both,
        devices,
      );
      await shuttle.guestCounters();
      return shuttle;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** The process that has the guest. */
  get here(): VmmProcess {
    return this.#here.vmm;
  }

  /** The process that waits for it. */
  get there(): VmmProcess {
    return this.#there.vmm;
  }

  /** Where the waiting process listens. */
  get uri(): string {
    return this.#uri;
  }

  /** One attempt to migrate, however it ends; the guest's place is not changed by it: see `arrived`. */
  attempt(options: ScenarioMigration = {}): Promise<MigrationReport> {
    return migrateAndWait(this.here.qmp, options.uri ?? this.#uri, options);
  }

  /** A migration that has to succeed, and the way back opened. */
  async hop(options: ScenarioMigration = {}): Promise<MigrationReport> {
    const report = await this.attempt(options);
    if (report.outcome !== 'completed') {
      throw new Error(
        `the migration ${report.outcome} during ${report.failedDuring}, round ${report.rounds.length}: ${report.error}\n` +
          `phases ${JSON.stringify(report.phases)}\nnotes ${report.notes.join('; ')}\nsource: ${this.here.log()}\ndestination: ${this.there.log()}`,
      );
    }
    await this.arrived();
    return report;
  }

  /** After a migration that completed: the process that was left waits for the guest's return. */
  async arrived(): Promise<void> {
    await until('the destination has taken the guest over', async () => {
      const { status } = await this.there.qmp.execute<{ status: string }>('x-srvm-query-incoming');
      return status === 'running';
    });
    [this.#here, this.#there] = [this.#there, this.#here];
    await this.listen();
  }

  /** Has the process without the guest wait for one. */
  async listen(uri?: string): Promise<void> {
    this.#uri = uri ?? `unix:${this.lab.folder}/hop-${++this.#hops}.sock`;
    await this.there.qmp.execute('migrate-incoming', {
      uri: this.#uri,
      'x-srvm-vfs': this.#cards('vf'),
      'x-srvm-nets': this.#cards('net'),
      'x-srvm-vifs': this.#cards('vif'),
    });
  }

  /** After an attempt that failed: the process without the guest, or a new one in its place, waits for it. */
  async recover(uri?: string): Promise<void> {
    const { vmm, wire } = this.#there;
    if (vmm.child.exitCode === null && vmm.child.signalCode === null) {
      await vmm.qmp.execute('migrate_cancel');
      await until('the destination has given the last attempt up', async () => {
        const { status } = await vmm.qmp.execute<{ status: string }>('x-srvm-query-incoming');
        return status === 'failed' || status === 'none';
      });
      await this.listen(uri);
      return;
    }
    this.#uri = `unix:${this.lab.folder}/hop-${++this.#hops}.sock`;
    const replacement = await this.lab.vmm(
      `c${this.#hops}-${process.pid}`,
      receiveArguments(this.#uri, wire, this.#devices, this.#both),
    );
    this.#there = { vmm: replacement, wire };
  }

  #cards(kind: 'vf' | 'net' | 'vif'): { wire: string }[] {
    return this.#devices.filter((device) => device === kind).map(() => ({ wire: this.#there.wire }));
  }

  guestCounters(): Promise<readonly bigint[]> {
    return queryGuest(this.station, GUEST_IP);
  }

  /**
   * The guest's counters with nothing else under way to it or from it, so that its driver has counted what its card has.
   * A slow guest is asked again before it answers, and then the card has counted a query that the driver has yet to see.
   */
  async quietGuestCounters(): Promise<readonly bigint[]> {
    let counters = await this.guestCounters();
    await until('the guest is asked once, and answers once', async () => {
      const before = counters;
      counters = await this.guestCounters();
      return PACKET_COUNTERS.every((index) => counters[index]! - before[index]! === 1n);
    });
    return counters;
  }

  /** The VF's statistics, as the guest would read them. */
  async vfStatistics(): Promise<Readonly<Record<string, number>>> {
    const { vfs } = await this.here.qmp.execute<{ vfs: Record<string, number>[] }>('x-srvm-query-stats');
    return vfs[0]!;
  }

  /** What the processes have printed: for a failure's message. */
  logs(): string {
    return [this.here, this.there]
      .map(({ name, child, log }) => `${name} (exit ${child.exitCode ?? child.signalCode}): ${log()}`)
      .join('\n');
  }

  threads(of: VmmProcess = this.here): Promise<readonly string[]> {
    return threadNames(of.qmp);
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

const receiveArguments = (
  uri: string,
  wire: string,
  devices: readonly string[],
  more: readonly string[],
): readonly string[] => [
  'receive',
  '--listen',
  uri,
  ...devices.flatMap((device) => [`--${device}`, `wire=${wire}`]),
  ...more,
];

const guestMac = (index: number): string => `52:54:00:00:00:${String(index + 1).padStart(2, '0')}`;

/** Index of a counter in the guest's reply; guest-images/lib/counters.ts has them all. */
export const COUNTER = {
  received: 0,
  badChecksum: 2,
  outOfOrder: 3,
  duplicates: 4,
  lost: 5,
  rxPackets: 16,
  rxBytes: 17,
  txPackets: 18,
  txBytes: 19,
  rxErrors: 20,
  opens: 22,
  reloads: 23,
  vfRxPackets: 24,
  vfTxPackets: 26,
  interrupts: 29,
  hangs: 30,
  clockNs: 31,
} as const;

const PACKET_COUNTERS = [COUNTER.rxPackets, COUNTER.txPackets, COUNTER.vfRxPackets, COUNTER.vfTxPackets];

const STATISTICS_PORT = 9001;
const QUERY_BYTES = 18;
const COUNTERS = 32;

/** Asks the guest for its counters until it answers. */
export async function queryGuest(station: TrafficPeer, ip: string): Promise<readonly bigint[]> {
  const port = station.freePort();
  let reply: bigint[] | null = null;
  station.bindUdp(port, (bytes, offset, length) => {
    if (length < COUNTERS * 8) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, COUNTERS * 8);
    reply = Array.from({ length: COUNTERS }, (_, i) => view.getBigUint64(i * 8, true));
  });
  const [a, b, c, d] = ip.split('.').map(Number) as [number, number, number, number];
  const target = { ip: ((a << 24) | (b << 16) | (c << 8) | d) >>> 0, port: STATISTICS_PORT };
  const sender = new UdpSender(station, target, port);
  let askedAtNs = 0;
  const query = {
    step(nowNs: number): number {
      if (nowNs - askedAtNs < ASK_AGAIN_NS || !sender.ready()) return 0;
      askedAtNs = nowNs;
      sender.bytes.fill(0, sender.payloadOffset, sender.payloadOffset + QUERY_BYTES);
      sender.send(QUERY_BYTES);
      return 1;
    },
    nextDueNs: () => Math.max(askedAtNs + ASK_AGAIN_NS, station.clock.nowNs() + 10e6),
  };
  station.addLoad(query);
  try {
    await until('the guest tells its counters', () => reply !== null);
    return reply!;
  } finally {
    station.removeLoad(query);
    station.bindUdp(port, null);
  }
}

const ASK_AGAIN_NS = 200e6;

export async function threadNames(qmp: QmpClient): Promise<readonly string[]> {
  const threads = await qmp.execute<{ name: string }[]>('x-srvm-query-threads');
  return threads.map(({ name }) => name).sort();
}

/** A limit on patience, not on speed: it only turns a hang into a failure. */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  limitMs = PATIENCE_MS,
): Promise<void> {
  const endNs = realClock.nowNs() + limitMs * 1e6;
  while (!(await done())) {
    if (realClock.nowNs() > endNs) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await sleep(5);
  }
}

/** Resolves when `count` more replies have come. */
export async function repliesGoOn(probe: EchoProbe, count = 50): Promise<void> {
  const before = probe.report().replies;
  await until('the guest answers probes', () => probe.report().replies >= before + count);
}
