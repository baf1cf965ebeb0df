/** Two VMM processes and a guest that is migrated back and forth between them. */
import { followMigration, type MigrationWatcher } from '../../src/cli/follow-migration.js';
import { Lab, type VmmProcess } from '../../src/cli/lab.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import type { MigrationReport } from '../../src/migration/report.js';

export interface PingPongOptions {
  readonly image: string;
  readonly memory: string;
  readonly commandLine?: string;
  readonly linkSpeedMbps?: number;
  readonly parameters?: Readonly<Record<string, number | boolean>>;
}

export const GUEST_IP = '10.0.0.2';
const PEER = { mac: '52:54:00:00:00:fe', ip: '10.0.0.1' } as const;

export class PingPong {
  readonly lab: Lab;
  readonly #options: PingPongOptions;
  readonly #wires: readonly [string, string];
  #hops = 0;
  #here: VmmProcess;
  #there: VmmProcess;

  static async start(options: PingPongOptions): Promise<PingPong> {
    const lab = Lab.create();
    const wires: [string, string] = [lab.port('p0'), lab.port('p1')];
    const speed = options.linkSpeedMbps === undefined ? [] : ['--link-speed', String(options.linkSpeedMbps)];
    const append = options.commandLine === undefined ? [] : ['--append', options.commandLine];
    const vf = `mac=52:54:00:00:00:01,wire=${wires[0]}`;
    const run = ['run', options.image, '--memory', options.memory, ...append, ...speed, '--vf', vf];
    const here = await lab.vmm('bench-a', run);
    const receive = ['receive', '--listen', addressOf(lab, 0), ...speed, '--vf', `wire=${wires[1]}`];
    const there = await lab.vmm('bench-b', receive);
    return new PingPong(lab, options, wires, here, there);
  }

  private constructor(
    lab: Lab,
    options: PingPongOptions,
    wires: readonly [string, string],
    here: VmmProcess,
    there: VmmProcess,
  ) {
    this.lab = lab;
    this.#options = options;
    this.#wires = wires;
    this.#here = here;
    this.#there = there;
  }

  /** A station on the guest's segment, in this process. */
  peer(): TrafficPeer {
    return this.lab.peer(PEER.mac, PEER.ip);
  }

  /** The process that has the guest now. */
  get holder(): VmmProcess {
    return this.#here;
  }

  /** Migrates the guest to the other process. @throws Error unless the migration completed */
  async hop(mode: 'scan' | 'shadow-doorbell', watcher: MigrationWatcher = {}): Promise<MigrationReport> {
    if (this.#hops > 0) {
      await this.#there.qmp.execute('migrate-incoming', {
        uri: addressOf(this.lab, this.#hops),
        'x-srvm-vfs': [{ wire: this.#wires[(this.#hops + 1) % 2] }],
      });
    }
    const order = {
      uri: addressOf(this.lab, this.#hops),
      plugin: 'plugins/srvm',
      pluginOptions: { mode },
      parameters: { 'downtime-limit': 20, ...this.#options.parameters },
    };
    const report = await followMigration(this.#here.qmp, order, watcher);
    if (report.outcome !== 'completed')
      throw new Error(`hop ${this.#hops}: ${report.outcome}: ${report.error}`);
    this.#hops++;
    [this.#here, this.#there] = [this.#there, this.#here];
    return report;
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

/** A fresh socket a hop: none can be in the way of the next. */
const addressOf = (lab: Lab, hop: number): string => `unix:${lab.folder}/hop-${hop}.sock`;
