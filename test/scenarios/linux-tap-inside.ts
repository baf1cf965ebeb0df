/**
 * The part of the Linux TAP scenario that runs inside the network namespace: prints one JSON line of what the host's own
 * programs and the guest's moved between them.
 *
 *   arguments: seconds of each flow, megabytes of the file
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { Lab, sleep } from '../../src/cli/lab.js';
import { seededRandom } from '../../src/hardware/clock.js';
import { openWire } from '../../src/hardware/wire/open.js';
import { bootLocal, type LocalGuest } from './linux-guests.js';
import { kernelTrouble } from './linux-log.js';
import { md5Of, sentAndReceivedMbps } from './linux-output.js';

const [flowS, fileMB] = process.argv.slice(2).map(Number) as [number, number];
const HOST = '10.9.0.1';
const GUEST = '10.9.0.2';
const HTTP_PORT = 8080;
const MB = 1_000_000;
const PATIENCE_MS = 300_000;
const SOCAT = [
  `TUN:${HOST}/24,tun-type=tap,iff-no-pi,up`,
  'UDP-DATAGRAM:127.0.0.1:9000,bind=127.0.0.1:9001,rcvbuf=4194304,sndbuf=4194304',
];

/** A program of the host's; not waited for synchronously, as the switch that carries its packets runs in this thread. */
function host(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`${program} ended with ${code}: ${text}`)),
    );
  });
}

/** Serves one file that is the same every time; the checksum is known when it is sent. */
function serveFile(): { readonly close: () => void; readonly sum: string } {
  const random = seededRandom(4);
  const block = new Uint8Array(MB).map(() => random.nextU32());
  const hash = createHash('md5');
  for (let sent = 0; sent < fileMB; sent++) hash.update(block);
  const server = createServer((_, response) => {
    response.setHeader('content-length', fileMB * MB);
    let left = fileMB;
    const write = (): void => {
      while (left > 0) {
        left--;
        if (!response.write(block)) return;
      }
      response.end();
    };
    response.on('drain', write);
    write();
  }).listen(HTTP_PORT, HOST);
  return { close: () => server.close(), sum: hash.digest('hex') };
}

const lab = Lab.create();
const socat = spawn('socat', SOCAT, { stdio: 'inherit' });
let server: ChildProcess | null = null;
let guest: LocalGuest | null = null;
try {
  lab.fabric.addPort('tap', openWire('udp:127.0.0.1:9001,local=127.0.0.1:9000'));
  guest = await bootLocal(lab.port('guest'), '52:54:00:00:09:02', `ip=${GUEST} serve=iperf3,http`);
  const { shell, vm } = guest;
  const ask = async (command: string): Promise<string> => {
    const { status, output } = await shell.run(command, PATIENCE_MS);
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${output}`);
    return output;
  };
  await ask(`for i in $(seq 100); do ping -c 1 -W 1 ${HOST} && break; done`);
  // not before: socat gives the TAP its address
  server = spawn('iperf3', ['-s', '-B', HOST], { stdio: 'ignore' });
  const flow = async (...more: string[]): Promise<string> => {
    for (let tries = 1; ; tries++) {
      try {
        return await host('iperf3', ['-f', 'm', '-c', GUEST, '-t', String(flowS), ...more]);
      } catch (error) {
        // its server is away for a moment between two clients
        if (tries === 10 || !/busy|refused|reset by peer/.test((error as Error).message)) throw error;
        await sleep(500);
      }
    }
  };
  const file = serveFile();
  const result = {
    pinged: (await host('ping', ['-c', '20', '-i', '0.05', '-W', '2', GUEST])).includes(' 20 received'),
    intoGuestMbps: sentAndReceivedMbps(await flow()),
    outOfGuestMbps: sentAndReceivedMbps(await flow('-R')),
    guestAsClientMbps: sentAndReceivedMbps(await ask(`iperf3 -f m -c ${HOST} -t ${flowS}`)),
    sumSent: file.sum,
    sumReceived: md5Of(await ask(`wget -q -O - http://${HOST}:${HTTP_PORT}/ | md5sum`)),
    trouble: await kernelTrouble(shell),
    dmaFaults: vm.info().vfs[0]!.dmaFaults,
  };
  file.close();
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  const log = await guest?.shell.run('ps; dmesg | tail -n 20');
  throw new Error(`${(error as Error).message}; in the guest: ${log?.output}`, { cause: error });
} finally {
  await guest?.close();
  socat.kill();
  server?.kill();
  await lab.close();
}
