/** srvm as a subject of the `linux` benchmark: two VMM processes, started as a user would. */
import { followMigration } from '../../src/cli/follow-migration.js';
import type { Lab, VmmProcess } from '../../src/cli/lab.js';
import { LinuxShell } from '../../src/cli/linux-shell.js';
import { readImage } from '../../src/control/images.js';
import { resolveShipped } from '../../src/control/package-root.js';
import { GUEST, type Guest, LOOK_AT_SHELL_MS, type Move, type Subject, untilInit } from './linux-subject.js';

const IMAGE = 'guest-images/debian-riscv64';
/** QEMU's default in milliseconds is 300; what is asked for does not matter to an idle guest. */
const DOWNTIME_LIMIT_MS = 20;

interface Place {
  readonly vmm: VmmProcess;
  readonly wire: string;
}

export class SrvmSubject implements Subject {
  readonly name = 'srvm';
  readonly wantsFreshGuests = false;
  readonly #lab: Lab;
  #guests = 0;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async start(): Promise<Guest> {
    const lab = this.#lab;
    const number = ++this.#guests;
    const wires = [lab.port(`srvm-${number}a`), lab.port(`srvm-${number}b`)] as const;
    const append = `${readImage(resolveShipped(IMAGE)).commandLine} ip=${GUEST.ip} serve=iperf3`;
    let text = '';
    const listen = ({ child }: VmmProcess) => {
      child.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()));
    };
    const startedMs = performance.now();
    const source = await lab.vmm(`linux-${number}a`, [
      ...['run', IMAGE, '--memory', `${GUEST.memoryMiB}M`, '--append', append],
      ...['--vf', `mac=${GUEST.mac},wire=${wires[0]}`],
    ]);
    text = source.log();
    listen(source);
    const boot = await untilInit(() => text, startedMs, source.log);
    const places: [Place, Place | null] = [{ vmm: source, wire: wires[0] }, null];
    const shell = new LinuxShell(
      'srvm',
      {
        type: async (typed) => {
          const { qmp } = places[0].vmm;
          return (await qmp.execute<{ bytes: number }>('x-srvm-type-in', { text: typed })).bytes;
        },
        text: () => text,
      },
      LOOK_AT_SHELL_MS,
    );
    const { status } = await shell.run(
      'until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 10000; done',
    );
    if (status !== 0) throw new Error('the guest has no link');
    return {
      shell,
      boot,
      move: async (method) => {
        const there = places[1] ?? {
          vmm: await lab.vmm(`linux-${number}b`, [
            'receive',
            '--listen',
            'tcp:127.0.0.1:0',
            '--vf',
            `wire=${wires[1]}`,
          ]),
          wire: wires[1],
        };
        if (places[1] === null) listen(there.vmm);
        const move = await moveTo(places[0].vmm, there, places[1] === null, method);
        [places[0], places[1]] = [there, places[0]];
        return move;
      },
      close: async () => {
        for (const place of places) await place?.vmm.qmp.execute('quit').catch(() => {});
        for (const place of places) await place?.vmm.ended;
      },
    };
  }
}

async function moveTo(source: VmmProcess, there: Place, isFirst: boolean, mode: string): Promise<Move> {
  const { address } = isFirst
    ? await there.vmm.qmp.execute<{ address: string }>('x-srvm-query-incoming')
    : await there.vmm.qmp.execute<{ address: string }>('migrate-incoming', {
        uri: 'tcp:127.0.0.1:0',
        'x-srvm-vfs': [{ wire: there.wire }],
      });
  const report = await followMigration(source.qmp, {
    uri: address,
    plugin: 'plugins/srvm',
    pluginOptions: { mode },
    parameters: { 'downtime-limit': DOWNTIME_LIMIT_MS, 'max-bandwidth': 0 },
  });
  if (report.outcome !== 'completed') throw new Error(`the migration ${report.outcome}: ${report.error}`);
  return { totalMs: report.totalMs, downtimeMs: report.downtimeMs ?? Number.NaN };
}
