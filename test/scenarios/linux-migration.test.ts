/**
 * Debian with its stock ixgbevf moves between two VMM processes while it is in use, and back. Its partner, another Linux
 * guest on the same switch, sees TCP go on, files arrive whole, and nothing in the traveller's kernel log.
 *
 *   partner (this process) == switch == VF of process a  <--migrate-->  VF of process b
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type VmmProcess } from '../../src/cli/lab.js';
import { expectClean } from './expect-clean.js';
import {
  bootLocal,
  IMAGE_FOLDER,
  isImageBuilt,
  type LocalGuest,
  linuxCommandLine,
  NOT_BUILT,
} from './linux-guests.js';
import { migrateAndWait } from './migrations.js';

const TROUBLE = /Tx Unit Hang|WARNING|BUG:|Oops|stall|NETDEV WATCHDOG|Link is Down|clocksource.*unstable/;
const BLOB_MB = 16;

let lab: Lab;
let partner: LocalGuest;
let here: { vmm: VmmProcess; wire: string };
let there: { vmm: VmmProcess; wire: string };
/** Process b listens from its start on. */
let firstArrival: string | null = null;

const ask = async (command: string): Promise<string> => {
  const { status, output } = await partner.shell.run(command, 120_000);
  expect(status, `${command}: ${output}`).toBe(0);
  return output;
};
/** Until the guest answers, which has just been told to do something. */
const fetchWhenThere = (file: string) =>
  ask(`for i in $(seq 200); do wget -q -O - http://10.0.0.2/${file} && break; usleep 300000; done`);
const typeIn = (text: string) => here.vmm.qmp.execute('x-srvm-type-in', { text: `${text}\n` });

async function listenAgain(): Promise<string> {
  const vfs = [{ wire: there.wire }];
  const { address } = await there.vmm.qmp.execute<{ address: string }>('migrate-incoming', {
    uri: 'tcp:127.0.0.1:0',
    'x-srvm-vfs': vfs,
  });
  return address;
}

async function move(mode: 'scan' | 'shadow-doorbell') {
  const address = firstArrival ?? (await listenAgain());
  firstArrival = null;
  const report = await migrateAndWait(here.vmm.qmp, address, { mode, downtimeLimitMs: 300 });
  expect(report.status, report.notes.join('; ')).toBe('completed');
  expectClean(report);
  [here, there] = [there, here];
}

describe.skipIf(!isImageBuilt)(isImageBuilt ? 'a Linux guest that moves' : NOT_BUILT, () => {
  beforeAll(async () => {
    lab = Lab.create();
    const [wireA, wireB, wireP] = ['pa', 'pb', 'pp'].map((name) => lab.port(name));
    const append = linuxCommandLine('ip=10.0.0.2 serve=iperf3,http');
    const mac = '52:54:00:00:00:02';
    const a = [
      'run',
      IMAGE_FOLDER,
      '--memory',
      '256M',
      '--append',
      append,
      '--vf',
      `mac=${mac},wire=${wireA}`,
    ];
    here = { vmm: await lab.vmm('linux-a', a), wire: wireA! };
    const b = ['receive', '--listen', 'tcp:127.0.0.1:0', '--vf', `wire=${wireB}`];
    there = { vmm: await lab.vmm('linux-b', b), wire: wireB! };
    const incoming = await there.vmm.qmp.execute<{ address: string }>('x-srvm-query-incoming');
    firstArrival = incoming.address;
    partner = await bootLocal(wireP!, '52:54:00:00:00:01', 'ip=10.0.0.1 serve=http');
    await fetchWhenThere('kmsg');
  }, 240_000);

  afterAll(async () => {
    await partner?.close();
    await lab?.close();
  });

  it.each(['shadow-doorbell', 'scan'] as const)(
    'while TCP comes in and goes out, by %s',
    async (mode) => {
      for (const direction of ['', '-R']) {
        const ended = await partner.shell.start(`iperf3 -c 10.0.0.2 -t 8 ${direction}`);
        await move(mode);
        const { status, output } = await ended(120_000);
        expect(status, output).toBe(0);
      }
    },
    240_000,
  );

  it('while it fetches a file and dirties memory', async () => {
    await ask(`dd if=/dev/urandom of=/tmp/www/blob bs=1M count=${BLOB_MB}`);
    const sum = /[0-9a-f]{32}/.exec(await ask('md5sum /tmp/www/blob'))![0];
    await typeIn('while :; do dd if=/dev/zero of=/tmp/scratch bs=64k count=64 2>/dev/null; done &');
    await typeIn('wget -q -O - http://10.0.0.1/blob | md5sum >/tmp/sum; mv /tmp/sum /tmp/www/sum');
    await move('shadow-doorbell');
    expect(await fetchWhenThere('sum')).toContain(sum);
    await typeIn('kill %1');
  }, 240_000);

  it('and its kernel noticed nothing', async () => {
    const log = await fetchWhenThere('kmsg');
    expect(log.split('\n').filter((line) => TROUBLE.test(line))).toEqual([]);
    expect(log.match(/Link is Up/g)).toHaveLength(1);
  });
});
