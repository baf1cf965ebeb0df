/**
 * The part of the TAP scenario that runs inside the network namespace: prints one JSON line of what ping saw.
 */
import { spawn } from 'node:child_process';
import { Lab, sleep } from '../../src/cli/lab.js';
import { openWire } from '../../src/hardware/wire/open.js';
import { migrateAndWait } from './migrations.js';

const GUEST = '10.9.0.2';
const SOCAT = [
  'TUN:10.9.0.1/24,tun-type=tap,iff-no-pi,up',
  'UDP-DATAGRAM:127.0.0.1:9000,bind=127.0.0.1:9001',
];

const lab = Lab.create();
const socat = spawn('socat', SOCAT, { stdio: 'inherit' });
try {
  lab.fabric.addPort('tap', openWire('udp:127.0.0.1:9001,local=127.0.0.1:9000'));
  const source = await lab.vmm('tap-a', [
    'run',
    'guest-images/udp-echo',
    '--memory',
    '16M',
    '--append',
    `ip=${GUEST}`,
    '--vf',
    `mac=52:54:00:00:09:02,wire=${lab.port('p0')}`,
  ]);
  const uri = `unix:${lab.folder}/migrate.sock`;
  await lab.vmm('tap-b', ['receive', '--listen', uri, '--vf', `wire=${lab.port('p1')}`]);
  await reachable();

  // long enough that most of it is not the migration's, on a machine with much else to do too
  const pinging = ping(['-i', '0.02', '-c', '400']);
  await sleep(800);
  const outcome = await migrateAndWait(source.qmp, uri, { mode: 'scan' });
  const text = await pinging;
  const counts = /(\d+) packets transmitted, (\d+) received(?:, \+(\d+) duplicates)?/.exec(text);
  process.stdout.write(
    JSON.stringify({
      sent: Number(counts?.[1] ?? 0),
      received: Number(counts?.[2] ?? 0),
      duplicates: Number(counts?.[3] ?? 0),
      migrated: outcome.status === 'completed',
      answeredAfter: await answered(5),
    }) + '\n',
  );
} finally {
  socat.kill();
  await lab.close();
}

async function answered(count: number): Promise<number> {
  const text = await ping(['-i', '0.05', '-c', String(count)]);
  return Number(/(\d+) received/.exec(text)?.[1] ?? 0);
}

/** What ping prints. Not waited for synchronously: the switch that carries its packets runs in this thread. */
function ping(options: readonly string[]): Promise<string> {
  const child = spawn('ping', [...options, '-W', '5', GUEST], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve) => child.once('close', () => resolve(text)));
}

/** The guest needs a moment to bring its link up. */
async function reachable(): Promise<void> {
  for (let tries = 0; tries < 25; tries++) {
    if ((await answered(1)) === 1) return;
    await sleep(100);
  }
  throw new Error('the guest never answered a ping');
}
