/**
 * QEMU as a subject of the `linux` benchmark: qemu-system-riscv64 with the same kernel and initramfs, a virtio NIC on the same
 * switch. Its emulated SR-IOV VF does not survive a migration, so a VF cannot be compared.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, sleep } from '../../src/cli/lab.js';
import { LinuxShell } from '../../src/cli/linux-shell.js';
import { readImage } from '../../src/control/images.js';
import { resolveShipped } from '../../src/control/package-root.js';
import { QmpClient } from '../../src/control/qmp-client.js';
import { readLinuxImage } from '../../src/rv64/machine/linux-image-files.js';
import { GUEST, type Guest, LOOK_AT_SHELL_MS, type Move, type Subject, untilInit } from './linux-subject.js';

const PROGRAM = 'qemu-system-riscv64';
const LOOK_EVERY_MS = 5;
const LIMIT_MS = 60_000;
const NETWORK = [
  'modprobe virtio_net',
  `ip addr add ${GUEST.ip}/24 dev eth0`,
  'ip link set eth0 up',
  'iperf3 -s -D',
];

/** Its version, or null where it is not installed. */
export function qemuVersion(): string | null {
  const { status, stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  return status === 0 ? (stdout.split('\n')[0] ?? PROGRAM) : null;
}

interface Process {
  readonly child: ChildProcess;
  readonly qmp: QmpClient;
}

export class QemuSubject implements Subject {
  readonly name = 'qemu';
  /** Seen with 7.2: after two to four moves under TCP the guest's console was silent. */
  readonly wantsFreshGuests = true;
  readonly #lab: Lab;
  #processes = 0;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async start(): Promise<Guest> {
    let text = '';
    let errors = '';
    const begin = (incoming: string | null) =>
      this.#spawn(
        incoming,
        (chunk) => (text += chunk),
        (chunk) => (errors += chunk),
      );
    const startedMs = performance.now();
    let here = await begin(null);
    const boot = await untilInit(
      () => text.replaceAll('\r', ''),
      startedMs,
      () => errors,
    );
    const shell = new LinuxShell(
      'qemu',
      {
        type: (typed) => {
          here.child.stdin!.write(typed);
          return Buffer.byteLength(typed);
        },
        text: () => text.replaceAll('\r', ''),
      },
      LOOK_AT_SHELL_MS,
    );
    await shell.booted();
    for (const line of NETWORK) {
      const { status, output } = await shell.run(line);
      if (status !== 0) throw new Error(`QEMU's guest: ${line}: ${output}`);
    }
    return {
      shell,
      boot,
      move: async () => {
        const uri = `unix:${join(this.#lab.folder, `qemu-move-${this.#processes}.sock`)}`;
        const there = await begin(uri);
        const move = await moveTo(here, uri);
        await end(here);
        here = there;
        return move;
      },
      close: () => end(here),
    };
  }

  async #spawn(
    incoming: string | null,
    onText: (chunk: string) => void,
    onError: (chunk: string) => void,
  ): Promise<Process> {
    const lab = this.#lab;
    const name = `qemu-${++this.#processes}`;
    const control = join(lab.folder, `${name}.qmp`);
    const wire = lab.port(name).replace('unix:', '');
    const manifest = readImage(resolveShipped('guest-images/debian-riscv64'));
    const { kernel, initramfs } = readLinuxImage(
      manifest.component,
      manifest.name,
      GUEST.memoryMiB * 2 ** 20,
    );
    const child = spawn(
      PROGRAM,
      [
        ...['-machine', 'virt', '-m', String(GUEST.memoryMiB), '-smp', '1', '-accel', 'tcg,thread=single'],
        ...['-display', 'none', '-serial', 'stdio', '-qmp', `unix:${control},server=on,wait=off`],
        ...['-kernel', kernel.path, '-initrd', initramfs.path],
        ...['-append', `${manifest.commandLine.replace('hvc0', 'ttyS0')} nomodules=1`],
        ...['-netdev', `stream,id=n0,server=off,addr.type=unix,addr.path=${wire}`],
        ...['-device', `virtio-net-pci,netdev=n0,romfile=,mac=${GUEST.mac}`],
        ...(incoming === null ? [] : ['-incoming', incoming]),
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    child.stdout.on('data', (chunk: Buffer) => onText(chunk.toString('latin1')));
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      onError(chunk.toString());
    });
    child.on('error', (error) => onError(error.message));
    for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
      const qmp = existsSync(control) ? await QmpClient.connect(control).catch(() => null) : null;
      if (qmp !== null) return { child, qmp };
      if (child.exitCode !== null || waitedMs > LIMIT_MS)
        throw new Error(`${PROGRAM} did not start: ${said}`);
      await sleep(LOOK_EVERY_MS);
    }
  }
}

interface MigrateInfo {
  readonly status?: string;
  readonly 'total-time'?: number;
  readonly downtime?: number;
}

async function moveTo({ qmp }: Process, uri: string): Promise<Move> {
  await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0, 'downtime-limit': 300 });
  await qmp.execute('migrate', { uri });
  for (;;) {
    const info = await qmp.execute<MigrateInfo>('query-migrate');
    if (info.status === 'failed') throw new Error("QEMU's migration failed");
    if (info.status === 'completed') {
      return { totalMs: info['total-time'] ?? Number.NaN, downtimeMs: info.downtime ?? Number.NaN };
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function end({ child, qmp }: Process): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await qmp.execute('quit').catch(() => {});
  qmp.close();
  await ended;
}
