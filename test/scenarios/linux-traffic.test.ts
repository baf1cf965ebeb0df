/**
 * TCP, UDP and HTTP between two Linux guests on one switch, each with the stock driver on a VF of its own.
 *
 * SRVM_SOAK=1: a file of 200 MB, ten seconds of each flow.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../../src/cli/lab.js';
import { bootLocal, isImageBuilt, type LocalGuest, NOT_BUILT } from './linux-guests.js';
import { kernelTrouble } from './linux-log.js';
import { md5Of, sentAndReceivedMbps } from './linux-output.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const FILE_MB = SOAK ? 200 : 8;
const FLOW_S = SOAK ? 10 : 2;
const LIMIT_MS = SOAK ? 600_000 : 120_000;

let lab: Lab;
let client: LocalGuest;
let server: LocalGuest;

const output = async (command: string, guest = client): Promise<string> => {
  const { status, output: text } = await guest.shell.run(command, LIMIT_MS);
  expect(status, `${command}: ${text}`).toBe(0);
  return text;
};
/** Its server is away for a moment between two clients: then once more. */
const iperf3 = (options: string): Promise<string> =>
  output(`for i in $(seq 5); do [ $i = 1 ] || sleep 1; iperf3 -f m -c 10.0.0.2 ${options} && break; done`);

/** What was measured is worth seeing in a soak's output; no test depends on it. */
function say(what: string, figure: string): void {
  if (SOAK) process.stderr.write(`${what}: ${figure}\n`);
}

describe.skipIf(!isImageBuilt)(isImageBuilt ? 'two Linux guests' : NOT_BUILT, { timeout: LIMIT_MS }, () => {
  beforeAll(async () => {
    lab = Lab.create();
    server = await bootLocal(
      lab.port('server'),
      '52:54:00:00:00:02',
      'ip=10.0.0.2 serve=iperf3,http',
      SOAK ? 512 : 256,
    );
    client = await bootLocal(lab.port('client'), '52:54:00:00:00:01', 'ip=10.0.0.1 serve=iperf3,http');
    await output('for i in $(seq 100); do ping -c 1 -W 1 10.0.0.2 && break; done');
  }, 240_000);

  afterAll(async () => {
    await client?.close();
    await server?.close();
    await lab?.close();
  });

  it.each([
    ['there', ''],
    ['back', '-R'],
    ['both ways at once', '--bidir'],
    ['there in jumbo frames', '', 9000],
  ] as [string, string, number?][])('TCP flows %s', async (where, option, mtu = 1500) => {
    for (const guest of [client, server]) await output(`ip link set eth0 mtu ${mtu}`, guest);
    await output('for i in $(seq 100); do ping -c 1 -W 1 10.0.0.2 && break; done');
    const text = await iperf3(`-t ${FLOW_S} ${option}`);
    for (const mbps of sentAndReceivedMbps(text)) expect(mbps).toBeGreaterThan(0);
    say(`TCP ${where}`, `${sentAndReceivedMbps(text).join(', ')} Mb/s`);
    for (const guest of [client, server]) await output('ip link set eth0 mtu 1500', guest);
  });

  it('UDP of every size arrives', async () => {
    await output('for i in $(seq 100); do ping -c 1 -W 1 10.0.0.2 && break; done');
    for (const bytes of [16, 500, 1472, 8000]) {
      const text = await iperf3(`-u -b 10M -l ${bytes} -t 1`);
      expect(sentAndReceivedMbps(text)[1]).toBeGreaterThan(0);
    }
  });

  it(`a file of ${FILE_MB} MB comes whole by HTTP`, async () => {
    await output(`dd if=/dev/urandom of=/tmp/www/blob bs=1M count=${FILE_MB}`, server);
    const sum = md5Of(await output('md5sum /tmp/www/blob', server));
    const began = performance.now();
    expect(md5Of(await output('wget -q -O - http://10.0.0.2/blob | md5sum'))).toBe(sum);
    say('HTTP', `${((FILE_MB * 8.39e6) / ((performance.now() - began) * 1e3)).toFixed(0)} Mb/s with md5sum`);
    await output('rm /tmp/www/blob', server);
  });

  it('and neither kernel had anything to complain of', async () => {
    for (const guest of [client, server]) {
      expect(await kernelTrouble(guest.shell)).toEqual([]);
      expect(guest.vm.info().vfs[0]!.dmaFaults).toEqual({ reads: 0, writes: 0 });
    }
  });
});
