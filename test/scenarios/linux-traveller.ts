/**
 * A Linux guest that moves between two VMM processes, and its partner, another Linux guest on the same switch, through which
 * it is watched: what it serves tells how it is.
 *
 *   partner (this process) == switch == VF of process a  <--migrate-->  VF of process b
 */
import { join } from 'node:path';
import { expect } from 'vitest';
import { Lab, type VmmProcess } from '../../src/cli/lab.js';
import { type OpenedWire, openWire } from '../../src/hardware/wire/open.js';
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
const ANYWHERE = 'tcp:127.0.0.1:0';

export interface TravellerOptions {
  /** Options of both its ports, as `--mtu`. */
  readonly ports?: readonly string[];
  /** Of both its ports, and of the one that it was booted on: 2 give it two receive queues. */
  readonly trafficClasses?: number;
  /** The partner's RAM: what it serves is kept there. */
  readonly partnerMemoryMiB?: number;
  /** Further plugins that both processes know, by folder. */
  readonly plugins?: readonly string[];
}

interface Place {
  readonly vmm: VmmProcess;
  readonly cable: Cable;
}

/** From a process's port to the switch; its end at the switch can be pulled out. */
class Cable {
  readonly spec: string;
  readonly #lab: Lab;
  #end: OpenedWire;

  constructor(lab: Lab, name: string) {
    this.#lab = lab;
    this.spec = `unix:${join(lab.folder, `${name}.sock`)}`;
    this.#end = this.plugIn();
  }

  pull(): Promise<void> {
    return this.#end.close();
  }

  plugIn(): OpenedWire {
    this.#end = openWire(`${this.spec},server`);
    this.#lab.fabric.addPort(this.spec, this.#end);
    return this.#end;
  }
}

export class LinuxTraveller {
  readonly lab: Lab;
  readonly partner: LocalGuest;
  /** What both processes are told. */
  readonly #both: readonly string[];
  #here: Place;
  #there: Place;
  /** Where the process without the guest listens; null when it has to be asked to. */
  #address: string | null = null;
  #replacements = 0;

  private constructor(lab: Lab, partner: LocalGuest, here: Place, there: Place, both: readonly string[]) {
    this.lab = lab;
    this.partner = partner;
    this.#here = here;
    this.#there = there;
    this.#both = both;
  }

  /** Boots both. */
  static async boot({
    ports = [],
    plugins = [],
    partnerMemoryMiB,
    trafficClasses = 1,
  }: TravellerOptions = {}): Promise<LinuxTraveller> {
    const lab = Lab.create();
    const both = [
      '--tcs',
      String(trafficClasses),
      ...ports,
      ...plugins.flatMap((plugin) => ['--plugin', plugin]),
    ];
    const [cableA, cableB] = [new Cable(lab, 'pa'), new Cable(lab, 'pb')];
    const saved = await savedLinux(
      TRAVELLER_MAC,
      `ip=${TRAVELLER_IP} serve=iperf3,http`,
      undefined,
      trafficClasses,
    );
    const a = await lab.vmm('linux-a', receiveArguments(`file:${saved}`, cableA, both));
    const b = await lab.vmm('linux-b', receiveArguments(ANYWHERE, cableB, both));
    const partner = await bootLocal(
      lab.port('pp'),
      '52:54:00:00:00:01',
      `ip=${PARTNER_IP} serve=iperf3,http`,
      partnerMemoryMiB,
    );
    const places = [
      { vmm: a, cable: cableA },
      { vmm: b, cable: cableB },
    ] as const;
    const traveller = new LinuxTraveller(lab, partner, ...places, both);
    await traveller.fetchWhenThere('kmsg');
    return traveller;
  }

  /** The process that has the guest. */
  get here(): VmmProcess {
    return this.#here.vmm;
  }

  /** Of the port that its next VF belongs to. */
  get cableThere(): Cable {
    return this.#there.cable;
  }

  /** The process that waits for it. */
  get there(): VmmProcess {
    return this.#there.vmm;
  }

  /** Of the port that the guest's VF belongs to. */
  get cable(): Cable {
    return this.#here.cable;
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
    return this.here.qmp.execute('x-srvm-type-in', { text: `${text}\n` });
  }

  /** To the other process, every page compared. */
  async move(mode: 'scan' | 'shadow-doorbell', options: ScenarioMigration = {}): Promise<MigrationReport> {
    const report = await this.attempt({ mode, ...options });
    const { error, notes, dmaCoverage, tracker } = report;
    const story = JSON.stringify({ error, notes, dmaCoverage, tracker });
    expect(report.outcome, story).toBe('completed');
    expectClean(report);
    this.arrived();
    return report;
  }

  /** One attempt to migrate, however it ends; where the guest is taken to be is not changed by it: see `arrived`. */
  async attempt(options: ScenarioMigration): Promise<MigrationReport> {
    const uri = options.uri ?? (await this.address());
    this.#address = null;
    return migrateAndWait(this.here.qmp, uri, { downtimeLimitMs: 300, ...options });
  }

  arrived(): void {
    [this.#here, this.#there] = [this.#there, this.#here];
  }

  /** A migration that is called off in the middle of pre-copy: the guest stays where it is. */
  async callOff(mode: 'scan' | 'shadow-doorbell'): Promise<void> {
    const { qmp } = this.here;
    const report = await this.attempt({
      mode,
      maxBandwidth: 8 * 2 ** 20,
      watcher: { onPhase: (phase) => void (phase === 'pre-copy' && qmp.execute('migrate_cancel')) },
    });
    expect(report.outcome).toBe('cancelled');
    await this.recover();
  }

  /** After an attempt that failed: the process without the guest, or a new one in its place, can be asked to wait for it. */
  async recover(): Promise<void> {
    const { vmm, cable } = this.#there;
    this.#address = null;
    if (vmm.child.exitCode === null && vmm.child.signalCode === null) {
      await vmm.qmp.execute('migrate_cancel');
      // it gives everything back before it listens again; 'running' is told of the guest that it had
      await until('the other end listens to nobody', async () => {
        const { status } = await vmm.qmp.execute<{ status: string }>('x-srvm-query-incoming');
        return status === 'failed' || status === 'none' || status === 'running';
      });
      return;
    }
    const name = `linux-${++this.#replacements}`;
    const replacement = await this.lab.vmm(name, receiveArguments(ANYWHERE, cable, this.#both));
    this.#there = { vmm: replacement, cable };
  }

  /** Lines of the kernel's log that nothing healthy writes. */
  async kernelTrouble(): Promise<string[]> {
    return troubleInKmsg(await this.fetchWhenThere('kmsg'));
  }

  /** What the processes have printed: for a failure's message. */
  logs(): string {
    return [this.here, this.there]
      .map(({ name, child, log }) => `${name} (exit ${child.exitCode ?? child.signalCode}): ${log()}`)
      .join('\n');
  }

  async linkUps(): Promise<number> {
    return (await this.fetchWhenThere('kmsg')).match(/Link is Up/g)?.length ?? 0;
  }

  /** Where the process without the guest waits for it. */
  async address(): Promise<string> {
    if (this.#address !== null) return this.#address;
    const { vmm, cable } = this.#there;
    const incoming = await vmm.qmp.execute<{ status: string; address: string }>('x-srvm-query-incoming');
    if (incoming.status === 'listening') return (this.#address = incoming.address);
    const { address } = await vmm.qmp.execute<{ address: string }>('migrate-incoming', {
      uri: ANYWHERE,
      'x-srvm-vfs': [{ wire: cable.spec }],
    });
    return (this.#address = address);
  }
}

const receiveArguments = (uri: string, cable: Cable, more: readonly string[]): readonly string[] => [
  ...['receive', '--listen', uri, '--vf', `wire=${cable.spec}`, ...more],
];
