/**
 * iperf3 between a Linux guest that moves and its partner, both ways at once and slowly, until it is told to stop: two TCP
 * connections (and iperf3's own) that have to outlive whatever happens meanwhile.
 */
import { expect } from 'vitest';
import type { LinuxTraveller } from './linux-traveller.js';
import { until } from './shuttle.js';

/** Little: what matters is that it goes on. */
const RATE_MBPS = 4;
const PATIENCE_MS = 120_000;
const LOG = '/tmp/flow';

export class LinuxFlow {
  readonly #guest: LinuxTraveller;

  private constructor(guest: LinuxTraveller) {
    this.#guest = guest;
  }

  /** Resolves when it flows. */
  static async start(guest: LinuxTraveller, ip: string): Promise<LinuxFlow> {
    const flow = new LinuxFlow(guest);
    await guest.ask(
      `: >${LOG}; (${freshServer(ip)}; for i in $(seq 10); do iperf3 -c ${ip} -b ${RATE_MBPS}M --bidir -t 86400 --forceflush >${LOG} 2>&1; ` +
        // its server is away for a moment between two clients
        `grep -qE 'busy|refused' ${LOG} || break; sleep 1; done; echo ended >>${LOG}) & true`,
    );
    await flow.goesOn();
    return flow;
  }

  /** More comes through, both ways. */
  async goesOn(): Promise<void> {
    const before = await this.#intervals();
    await until(
      'iperf3 flows both ways',
      async () => {
        const now = await this.#intervals();
        // the last interval is printed twice by one that ends: it would look like more
        if (now.ended) throw new Error('iperf3 has ended');
        return now.there > before.there + 1 && now.back > before.back + 1;
      },
      PATIENCE_MS,
    ).catch(async (error) => {
      const log = await this.#guest.ask(`tail -n 12 ${LOG}`);
      throw new Error(`${(error as Error).message}: ${log}`, { cause: error });
    });
  }

  /** Ends it; no connection may have broken until then. */
  async end(): Promise<void> {
    await this.#guest.ask('killall -TERM iperf3; true');
    let printed = '';
    await until(
      'iperf3 has ended',
      async () => {
        printed = await this.#guest.ask(`cat ${LOG}`);
        return /^ended/m.test(printed);
      },
      PATIENCE_MS,
    );
    expect(printed).toContain('the client has terminated');
    expect(printed).not.toMatch(/error|unable/i);
  }

  /** How many intervals, there and back, carried something; whether iperf3 has ended. */
  async #intervals(): Promise<{ readonly there: number; readonly back: number; readonly ended: boolean }> {
    const printed = await this.#guest.ask(
      `for way in TX RX; do echo flowed-$way-$(grep $way-C ${LOG} | grep sec | grep -vc ' 0.00 Bytes'); done; ` +
        `echo ends-$(grep -c ^ended ${LOG})`,
    );
    const count = (of: string): number => Number(new RegExp(`${of}-(\\d+)`).exec(printed)![1]);
    return { there: count('flowed-TX'), back: count('flowed-RX'), ended: count('ends') > 0 };
  }
}

/**
 * iperf3's server counts the time without a whole block (128 KiB) from when it began to wait for a client, not from when the
 * test began: one that has waited for its 120 s ends a test at the first second that brings none, as on a loaded host. A test
 * of one small block makes it wait anew, however that ends.
 */
const freshServer = (ip: string): string => `iperf3 -c ${ip} -l 1K -n 1K >/dev/null 2>&1`;
