/**
 * Debian with its stock ixgbevf goes back and forth between two VMM processes, in both modes of SRVM, every page compared,
 * while everything goes on in it at once: iperf3 comes in on the way there and goes out on the way back, a file of 200 MB
 * is fetched again and again, a client compares every reply of the guest's web server, one TCP connection lasts from
 * beginning to end, one process computes and one dirties pages. See linux-soak-loads.ts.
 *
 *   boot -> loads -> { flow -> move -> all have got further -> flow well ended -> nothing wrong } x 2 x trips -> last sums
 *
 * The first thing that is wrong ends it, and is its error.
 */
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { EchoProbe, type EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { isImageBuilt, NOT_BUILT } from '../scenarios/linux-guests.js';
import { LinuxTraveller, PARTNER_IP, TRAVELLER_IP } from '../scenarios/linux-traveller.js';
import { until } from '../scenarios/shuttle.js';
import { partnerScript, TRAVELLER_SCRIPT, writeFile } from './linux-soak-loads.js';

const MODES = ['scan', 'shadow-doorbell'] as const;
type Mode = (typeof MODES)[number];
const DEFAULT_TRIPS = 2;
const FILE_MB = 200;
const FLOW_MBPS = 30;
/** Low: an interpreter has better to do than to answer. */
const PROBE_HZ = 50;
const PARTNER_MEMORY_MIB = 512;
const PATIENCE_MS = 600_000;
/** What has to have got further after every hop; the large file takes longer. */
const LIVELY = ['flow', 'replies', 'lines', 'pages', 'sums', 'counters'] as const;
type Progress = Readonly<Record<(typeof LIVELY)[number] | 'files', number>>;

interface Hop {
  readonly mode: Mode;
  readonly migration: MigrationReport;
  readonly probe: EchoProbeReport;
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

class LinuxSoak {
  readonly #guest: LinuxTraveller;
  readonly #station: TrafficPeer;
  readonly #hops: Hop[] = [];

  private constructor(guest: LinuxTraveller) {
    this.#guest = guest;
    this.#station = guest.lab.peer('52:54:00:00:00:fe', '10.0.0.254');
  }

  static async open(): Promise<LinuxSoak> {
    const guest = await LinuxTraveller.boot({ partnerMemoryMiB: PARTNER_MEMORY_MIB });
    try {
      const soak = new LinuxSoak(guest);
      await soak.#startLoads();
      return soak;
    } catch (error) {
      await guest.close();
      throw error;
    }
  }

  async trips(mode: Mode, trips: number): Promise<void> {
    for (let trip = 1; trip <= trips; trip++) {
      for (const back of [false, true]) {
        const hop = await this.#hop(mode, back);
        this.#hops.push(hop);
        const { totalMs, downtimeMs, rounds } = hop.migration;
        say(
          `${mode} ${trip} ${back ? 'back' : 'there'}: ${totalMs.toFixed(0)} ms, ${rounds.length} rounds, stopped ${downtimeMs?.toFixed(0)} ms, ` +
            `longest gap ${hop.probe.longestGapMs.toFixed(0)} ms; ${JSON.stringify(await this.#progress())}`,
        );
      }
    }
  }

  /** Everything comes to its end; then what had to be whole until then is compared. */
  async finish(): Promise<BenchRow[]> {
    const guest = this.#guest;
    await guest.typeIn('rm /tmp/go');
    await guest.ask('rm /tmp/go');
    await this.#until('the loads have ended', async () => {
      const { output } = await guest.partner.shell.run(
        `cat /tmp/www/ended && wget -q -O - http://${TRAVELLER_IP}/ended`,
        PATIENCE_MS,
      );
      return (output.match(/^ended/gm)?.length ?? 0) === 2;
    });
    await this.#expectNothingWrong();
    const { files, replies, lines, sums, pages } = await this.#progress();
    if (files === 0) throw new Error('linux-soak: not one large file has come whole');
    const done = `${files} files of ${FILE_MB} MB, ${replies} replies, ${lines} lines over one connection, ${sums} sums, ${pages} copies`;
    return [...MODES.flatMap((mode) => this.#rowsOf(mode)), rowOf(`wrong of ${done}`, [0], { atMost: 0 })];
  }

  close(): Promise<void> {
    return this.#guest.close();
  }

  async #startLoads(): Promise<void> {
    const guest = this.#guest;
    await guest.ask(writeFile('/tmp/loads.sh', partnerScript(FILE_MB, FLOW_MBPS)));
    await guest.ask(writeFile('/tmp/www/traveller.sh', TRAVELLER_SCRIPT));
    say(`the partner makes a file of ${FILE_MB} MB`);
    const made = await guest.partner.shell.run('sh /tmp/loads.sh prepare', PATIENCE_MS);
    if (made.status !== 0) throw new Error(`linux-soak: the partner could not prepare: ${made.output}`);
    await guest.typeIn(
      `wget -q -O /tmp/loads.sh http://${PARTNER_IP}/traveller.sh; sh /tmp/loads.sh all >/tmp/www/loads.log 2>&1 &`,
    );
    await guest.fetchWhenThere('counters');
    await guest.ask('sh /tmp/loads.sh all >/tmp/loads.log 2>&1 & true');
  }

  /** Under a flow of iperf3 that begins before it and ends after it. */
  async #hop(mode: Mode, back: boolean): Promise<Hop> {
    const guest = this.#guest;
    await guest.ask(`: >/tmp/flow; sh /tmp/loads.sh flow ${back ? '-R' : ''} >/dev/null 2>&1 & true`);
    await this.#until('iperf3 flows', async () => (await this.#progress()).flow > 0);
    const before = await this.#progress();
    const probe = new EchoProbe({
      peer: this.#station,
      targetIp: TRAVELLER_IP,
      rateHz: PROBE_HZ,
      ping: true,
    });
    probe.start();
    const migration = await guest.move(mode);
    let now = before;
    await this.#until('everything has got further', async () => {
      now = await this.#progress();
      return LIVELY.every((what) => now[what] > before[what]);
    }).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(before)} before, ${JSON.stringify(now)} now`);
    });
    probe.stop();
    await this.#endFlow();
    await this.#expectNothingWrong();
    return { mode, migration, probe: probe.report() };
  }

  /** Ended by its user, not by a connection that broke. */
  async #endFlow(): Promise<void> {
    const guest = this.#guest;
    await guest.ask('kill -TERM $(cat /tmp/flow.pid)');
    let printed = '';
    await this.#until('iperf3 has ended', async () => {
      printed = await guest.ask('cat /tmp/flow');
      return printed.includes('flow-ended');
    });
    if (!printed.includes('the client has terminated') || /error|unable/i.test(printed))
      throw new Error(`linux-soak: iperf3 did not end well: ${printed.slice(-2000)}`);
  }

  /** How far each load is, by its own account. */
  async #progress(): Promise<Progress> {
    const printed = await this.#guest.ask(
      `for f in pages sums counters files; do echo far-$f-$(wget -q -T 60 -O - http://${TRAVELLER_IP}/$f); done; ` +
        `for f in replies lines; do echo far-$f-$(cat /tmp/www/$f); done; ` +
        `echo far-flow-$(grep sec /tmp/flow | grep -vc ' 0.00 Bytes')`,
    );
    const far = (what: string): number => Number(new RegExp(`far-${what}-(\\d+)`).exec(printed)?.[1] ?? 0);
    return {
      pages: far('pages'),
      sums: far('sums'),
      counters: far('counters'),
      files: far('files'),
      replies: far('replies'),
      lines: far('lines'),
      flow: far('flow'),
    };
  }

  async #expectNothingWrong(): Promise<void> {
    const guest = this.#guest;
    const wrong = [await guest.ask('cat /tmp/www/wrong'), await guest.fetchWhenThere('wrong')]
      .flatMap((text) => text.split('\n'))
      .filter((line) => /^(sums|pages|files|counters|replies|lines):/.test(line));
    const trouble = await guest.kernelTrouble();
    const linkUps = await guest.linkUps();
    if (wrong.length + trouble.length > 0 || linkUps !== 1)
      throw new Error(
        `linux-soak: after ${this.#hops.length} hops: ${wrong.join('; ')}; kernel: ${trouble.join('; ')}; the link came up ${linkUps} times`,
      );
  }

  #rowsOf(mode: Mode): BenchRow[] {
    const hops = this.#hops.filter((hop) => hop.mode === mode);
    const row = (what: string, of: (hop: Hop) => number): BenchRow => rowOf(`${mode}: ${what}`, hops.map(of));
    return [
      row('total time of a migration, ms', ({ migration }) => migration.totalMs),
      row(
        'the guest stood still, ms (pages compared meanwhile)',
        ({ migration }) => migration.downtimeMs ?? NaN,
      ),
      row(`longest gap of ${PROBE_HZ} pings a second, ms`, ({ probe }) => probe.longestGapMs),
      row('pages that DMA wrote in pre-copy', ({ migration }) => migration.dmaCoverage?.pagesWritten ?? NaN),
      row('  of them missed', ({ migration }) => migration.dmaCoverage?.pagesMissed ?? NaN),
    ];
  }

  #until(what: string, done: () => Promise<boolean>): Promise<void> {
    return until(what, done, PATIENCE_MS);
  }
}

export const benchmark: Benchmark = {
  name: 'linux-soak',
  what: `a Linux guest goes back and forth under iperf3, HTTP both ways, a computation and a page dirtier; ${FILE_MB} MB files`,
  async run({ trips = DEFAULT_TRIPS } = {}) {
    if (!isImageBuilt) {
      say(`skipped: ${NOT_BUILT}`);
      return [];
    }
    const soak = await LinuxSoak.open();
    try {
      for (const mode of MODES) await soak.trips(mode, trips);
      return await soak.finish();
    } finally {
      await soak.close();
    }
  },
};
