/**
 * `srvm demo-linux`: a real Linux guest, Debian's kernel with its stock ixgbevf, migrated live between two processes while a
 * second Linux guest runs iperf3 against it and fetches a file from its web server again and again.
 *
 *   partner (this process) == switch == VF of process a  --migrate-->  VF of process b
 *         pings at 1 kHz  ==----'
 *
 *   boot both -> iperf3 and web requests -> migrate in the middle of them -> both have to end well -> report
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { type ImageManifest, readImage } from '../control/images.js';
import { PACKAGE_ROOT } from '../control/package-root.js';
import type { VmmMigrationReport } from '../control/vmm-migration.js';
import { Nic } from '../hypervisor/nic.js';
import { VirtualMachine } from '../hypervisor/vm.js';
import { EchoProbe, type EchoProbeReport } from '../measure/load/echo-probe.js';
import type { RoundReport } from '../migration/report.js';
import { readLinuxImage } from '../rv64/machine/linux-image-files.js';
import { followMigration } from './follow-migration.js';
import { Lab, LabError, sleep } from './lab.js';
import { LinuxShell } from './linux-shell.js';
import { reportRows, roundLine } from './migration-text.js';
import { formatMs, printJson, printTable } from './output.js';

interface DemoLinuxOptions {
  readonly mode: string;
  readonly memory: string;
  readonly seconds: string;
  readonly json: boolean;
}

const IMAGE = 'guest-images/debian-riscv64';
const GUEST = { ip: '10.0.0.2', mac: '52:54:00:00:00:02' };
const PARTNER = { ip: '10.0.0.3', mac: '52:54:00:00:00:03', ramBytes: 2 ** 28 };
const PROBE = { ip: '10.0.0.1', mac: '52:54:00:00:00:fe', rateHz: 1000 };
const FILE_MB = 2;
const BOOT_LIMIT_MS = 120_000;

export function demoLinuxCommand(): Command {
  return new Command('demo-linux')
    .description('migrate a real Linux guest between two processes while iperf3 and a web server are in use')
    .addOption(
      new Option('--mode <mode>', "SRVM's tracker")
        .choices(['scan', 'shadow-doorbell'])
        .default('shadow-doorbell'),
    )
    .option('--memory <size>', 'RAM of the guest that moves', '256M')
    .option('--seconds <n>', 'how long iperf3 runs', '12')
    .option('--json', 'print the report as JSON', false)
    .addHelpText('after', '\nExample:\n  npm run image:debian-riscv64 && srvm demo-linux --mode scan')
    .action(runDemoLinux);
}

async function runDemoLinux(options: DemoLinuxOptions): Promise<void> {
  const image = readImage(join(PACKAGE_ROOT, IMAGE));
  if (!existsSync(image.component))
    throw new LabError(`the image ${IMAGE} is not built yet: npm run image:debian-riscv64`);
  const lab = Lab.create();
  let partner: Partner | null = null;
  try {
    say(`two VMM processes and a partner, one switch; ${IMAGE} with ${options.memory} of RAM`);
    const append = `${image.commandLine} ip=${GUEST.ip} serve=iperf3,http`;
    const source = await lab.vmm('demo-linux-a', [
      ...['run', IMAGE, '--memory', options.memory, '--append', append],
      ...['--vf', `mac=${GUEST.mac},wire=${lab.port('p0')}`],
    ]);
    const destination = await lab.vmm('demo-linux-b', [
      ...['receive', '--listen', 'tcp:127.0.0.1:0', '--vf', `wire=${lab.port('p1')}`],
    ]);
    partner = await Partner.boot(image, lab.port('p2'));
    const probe = new EchoProbe({
      peer: lab.peer(PROBE.mac, PROBE.ip),
      targetIp: GUEST.ip,
      rateHz: PROBE.rateHz,
      ping: true,
    });
    await partner.ask(
      `for i in $(seq 300); do wget -q -O /dev/null http://${GUEST.ip}/kmsg && break; usleep 300000; done`,
    );
    await source.qmp.execute('x-srvm-type-in', {
      text: `dd if=/dev/urandom of=/tmp/file bs=1M count=${FILE_MB}; mv /tmp/file /tmp/www/file\n`,
    });
    const sum = await partner.ask(
      `for i in $(seq 300); do wget -q -O /tmp/file http://${GUEST.ip}/file && break; usleep 300000; done; md5sum </tmp/file`,
    );
    say('the guest serves iperf3 and HTTP; the partner uses both');
    probe.start();
    await partner.ask(fetchLoop(/[0-9a-f]{32}/.exec(sum)![0]));
    const iperf = await partner.shell.start(`iperf3 -c ${GUEST.ip} -t ${options.seconds} -i 1`);
    await sleep(Number(options.seconds) * 400);

    const { address } = await destination.qmp.execute<{ address: string }>('x-srvm-query-incoming');
    say(`migrating over ${address} with plugins/srvm, mode ${options.mode}`);
    const report = await followMigration(
      source.qmp,
      {
        uri: address,
        plugin: 'plugins/srvm',
        pluginOptions: { mode: options.mode },
        parameters: { 'downtime-limit': 20 },
      },
      { onRound: (round: RoundReport) => say(roundLine(round)) },
    );
    if (report.outcome !== 'completed')
      throw new LabError(`the migration ${report.outcome}: ${report.error}`);
    const { status, output } = await iperf();
    const fetched = await partner.ask(
      'rm /tmp/go; sleep 2; echo right-$(wc -l </tmp/right); echo wrong-$(wc -l </tmp/wrong)',
    );
    const count = (what: string) => Number(new RegExp(`${what}-(\\d+)`).exec(fetched)![1]);
    probe.stop();
    finish(options, report, {
      probe: probe.report(),
      iperf: { status, output },
      right: count('right'),
      wrong: count('wrong'),
    });
  } finally {
    await partner?.close();
    await lab.close();
  }
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** Fetches the file until /tmp/go is gone; a line for each fetch says whether every byte was right. */
const fetchLoop = (sum: string): string =>
  `touch /tmp/go; : >/tmp/right; : >/tmp/wrong; (while [ -e /tmp/go ]; do ` +
  `case $(wget -q -O - http://${GUEST.ip}/file | md5sum) in ${sum}*) echo 1 >>/tmp/right;; *) echo 1 >>/tmp/wrong;; esac; ` +
  `usleep 200000; done) >/dev/null 2>&1 & true`;

/** A Linux guest in this process, used through its terminal. */
class Partner {
  readonly shell: LinuxShell;
  readonly #nic: Nic;
  readonly #vm: VirtualMachine;

  private constructor(nic: Nic, vm: VirtualMachine, shell: LinuxShell) {
    this.#nic = nic;
    this.#vm = vm;
    this.shell = shell;
  }

  static async boot(image: ImageManifest, wire: string): Promise<Partner> {
    const nic = await Nic.open({ wire, vfCount: 1 });
    let text = '';
    const vm = await VirtualMachine.create({
      name: 'partner',
      image: readLinuxImage(image.component, image.name, PARTNER.ramBytes),
      commandLine: `${image.commandLine} ip=${PARTNER.ip}`,
      vfs: [{ nic, assignment: { mac: PARTNER.mac } }],
      onEvent: (event) => {
        if (event.kind === 'terminal')
          text += Buffer.from(event.bytes).toString('latin1').replaceAll('\r', '');
      },
    });
    const shell = new LinuxShell('partner', {
      type: (typed) => vm.typeIn(Buffer.from(typed)),
      text: () => text,
    });
    vm.start();
    await shell.booted(BOOT_LIMIT_MS);
    return new Partner(nic, vm, shell);
  }

  /** What the terminal showed: the command's echo, then what it printed. @throws LabError when it failed */
  async ask(command: string): Promise<string> {
    const { status, output } = await this.shell.run(command, BOOT_LIMIT_MS);
    if (status !== 0) throw new LabError(`the partner's '${command}' failed: ${output}`);
    return output;
  }

  async close(): Promise<void> {
    await this.#vm.destroy();
    await this.#nic.close();
  }
}

interface Seen {
  readonly probe: EchoProbeReport;
  readonly iperf: { readonly status: number; readonly output: string };
  readonly right: number;
  readonly wrong: number;
}

function finish(options: DemoLinuxOptions, report: VmmMigrationReport, seen: Seen): void {
  const { probe, iperf, right, wrong } = seen;
  if (options.json) {
    printJson({ migration: report, ...seen });
  } else {
    const intervals = iperf.output.split('\n').filter((line) => / sec .*bits\/sec/.test(line));
    printTable(
      ['', ''],
      [
        ...reportRows(report),
        ['iperf3', iperf.status === 0 ? intervals.slice(-2).join('\n').trim() : `FAILED: ${iperf.output}`],
        ['web server', `${right} fetches of ${FILE_MB} MiB, each with the right checksum; ${wrong} wrong`],
        [
          'peer: pings',
          `${probe.sent} sent, ${probe.lost} lost, ${probe.duplicates} duplicated, ${probe.corrupt} corrupt`,
        ],
        [
          'peer: longest gap',
          `${formatMs(probe.longestGapMs)} (the peer itself stalled ${formatMs(probe.longestStallMs)} at worst)`,
        ],
      ],
    );
  }
  if (iperf.status !== 0 || wrong > 0 || right === 0 || probe.corrupt > 0)
    throw new LabError('the guest was not well after its migration: see the table');
}
