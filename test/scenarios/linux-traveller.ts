/**
 * A Linux guest that moves between two VMM processes, and its partner, another Linux guest on the same switch, through which
 * it is watched: what it serves tells how it is.
 *
 *   partner (this process) == switch == VF of process a  <--migrate-->  VF of process b
 */
import { expect } from 'vitest';
import { Lab, type VmmProcess } from '../../src/cli/lab.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { expectClean } from './expect-clean.js';
import { bootLocal, type LocalGuest, savedLinux } from './linux-guests.js';
import { troubleInKmsg } from './linux-log.js';
import { migrateAndWait, type ScenarioMigration } from './migrations.js';
import { until } from './shuttle.js';

export const TRAVELLER_IP = '10.0.0.2';
export const PARTNER_IP = '10.0.0.1';
const TRAVELLER_MAC = '52:54:00:00:00:02';
const PATIENCE_MS = 120_000;

export interface TravellerOptions {
  /** Options of both its ports, as `--mtu`. */
  readonly ports?: readonly string[];
  /** The partner's RAM: what it serves is kept there. */
  readonly partnerMemoryMiB?: number;
}

interface Place {
  readonly vmm: VmmProcess;
  readonly wire: string;
}

export class LinuxTraveller {
  readonly lab: Lab;
  readonly partner: LocalGuest;
  #here: Place;
  #there: Place;
  /** The second process listens from its start on. */
  #firstArrival: string | null;

  private constructor(lab: Lab, partner: LocalGuest, here: Place, there: Place, firstArrival: string) {
    this.lab = lab;
    this.partner = partner;
    this.#here = here;
    this.#there = there;
    this.#firstArrival = firstArrival;
  }

  /** Boots both. */
  static async boot({ ports = [], partnerMemoryMiB }: TravellerOptions = {}): Promise<LinuxTraveller> {
    const lab = Lab.create();
    const [wireA, wireB, wireP] = ['pa', 'pb', 'pp'].map((name) => lab.port(name)) as [
      string,
      string,
      string,
    ];
    const saved = await savedLinux(TRAVELLER_MAC, `ip=${TRAVELLER_IP} serve=iperf3,http`);
    const a = await lab.vmm('linux-a', [
      ...['receive', '--listen', `file:${saved}`, '--vf', `wire=${wireA}`, ...ports],
    ]);
    const b = await lab.vmm('linux-b', [
      ...['receive', '--listen', 'tcp:127.0.0.1:0', '--vf', `wire=${wireB}`, ...ports],
    ]);
    const { address } = await b.qmp.execute<{ address: string }>('x-srvm-query-incoming');
    const partner = await bootLocal(
      wireP,
      '52:54:00:00:00:01',
      `ip=${PARTNER_IP} serve=iperf3,http`,
      partnerMemoryMiB,
    );
    const traveller = new LinuxTraveller(
      lab,
      partner,
      { vmm: a, wire: wireA },
      { vmm: b, wire: wireB },
      address,
    );
    await traveller.fetchWhenThere('kmsg');
    return traveller;
  }

  async close(): Promise<void> {
    await this.partner.close();
    await this.lab.close();
  }

  /** What the partner's command printed; it must have succeeded. */
  async ask(command: string): Promise<string> {
    const { status, output } = await this.partner.shell.run(command, PATIENCE_MS);
    expect(status, `${command}: ${output}`).toBe(0);
    return output;
  }

  /** A file of the traveller's web server, once it is there: it has just been told to make it. */
  fetchWhenThere(file: string, ip = TRAVELLER_IP): Promise<string> {
    return this.ask(
      `for i in $(seq 300); do wget -q -T 2 -O - http://${ip}/${file} && break; usleep 300000; done`,
    );
  }

  /** Types a line into the traveller's terminal, wherever it is. */
  typeIn(text: string): Promise<unknown> {
    return this.#here.vmm.qmp.execute('x-srvm-type-in', { text: `${text}\n` });
  }

  /** To the other process, every page compared. */
  async move(mode: 'scan' | 'shadow-doorbell', options: ScenarioMigration = {}): Promise<MigrationReport> {
    const address = await this.#address();
    this.#firstArrival = null;
    const report = await migrateAndWait(this.#here.vmm.qmp, address, {
      mode,
      downtimeLimitMs: 300,
      ...options,
    });
    expect(report.status, `${report.error}; ${report.notes.join('; ')}`).toBe('completed');
    expectClean(report);
    [this.#here, this.#there] = [this.#there, this.#here];
    return report;
  }

  /** A migration that is called off in the middle of pre-copy: the guest stays where it is. */
  async callOff(mode: 'scan' | 'shadow-doorbell'): Promise<void> {
    const address = await this.#address();
    this.#firstArrival = null;
    const { qmp } = this.#here.vmm;
    const report = await migrateAndWait(
      qmp,
      address,
      { mode, maxBandwidth: 8 * 2 ** 20 },
      { onPhase: (phase) => void (phase === 'pre-copy' && qmp.execute('migrate_cancel')) },
    );
    expect(report.status).toBe('cancelled');
    // the other end gives everything back before it listens again
    await until('the other end listens to nobody', async () => {
      const incoming = await this.#there.vmm.qmp.execute<{ status: string }>('x-srvm-query-incoming');
      return incoming.status === 'failed';
    });
  }

  /** Lines of the kernel's log that nothing healthy writes. */
  async kernelTrouble(): Promise<string[]> {
    return troubleInKmsg(await this.fetchWhenThere('kmsg'));
  }

  async linkUps(): Promise<number> {
    return (await this.fetchWhenThere('kmsg')).match(/Link is Up/g)?.length ?? 0;
  }

  async #address(): Promise<string> {
    if (this.#firstArrival !== null) return this.#firstArrival;
    const { address } = await this.#there.vmm.qmp.execute<{ address: string }>('migrate-incoming', {
      uri: 'tcp:127.0.0.1:0',
      'x-srvm-vfs': [{ wire: this.#there.wire }],
    });
    return address;
  }
}
