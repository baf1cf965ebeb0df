/**
 * A VM is saved to a file under traffic and restored in another process: it goes on where it stood, with its counters and
 * its VF's statistics. A damaged file is refused, and the place is free for a whole one.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { COUNTER, GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

let shuttle: Shuttle;
beforeAll(async () => {
  shuttle = await Shuttle.open({ image: 'guest-images/udp-echo' });
});
afterAll(() => shuttle?.close());

test('saved under traffic, restored in another process', async () => {
  const probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 500 });
  probe.start();
  await repliesGoOn(probe);
  const before = await shuttle.guestCounters();
  const file = `${shuttle.lab.folder}/saved.srvm`;
  const report = await shuttle.attempt({ uri: `file:${file}`, verify: false });
  expect(report.outcome, report.error ?? '').toBe('completed');
  expect(await shuttle.here.qmp.execute('query-status')).toMatchObject({ running: false });
  const answered = probe.report().replies;

  const bytes = readFileSync(file);
  const damaged = `${shuttle.lab.folder}/damaged.srvm`;
  bytes[bytes.length >> 1]! ^= 0x10;
  writeFileSync(damaged, bytes);
  await restore(damaged);
  expect(await incoming()).toBe('failed');

  await restore(file);
  expect(await incoming()).toBe('running');
  await until('the restored guest answers', () => probe.report().replies > answered + 50);
  const after = await shuttle.guestCounters();
  for (const index of [COUNTER.rxPackets, COUNTER.txPackets, COUNTER.vfRxPackets, COUNTER.vfTxPackets]) {
    expect(after[index]! >= before[index]!, `counter ${index}`).toBe(true);
  }
  for (const index of [COUNTER.opens, COUNTER.reloads, COUNTER.hangs]) {
    expect(after[index], `counter ${index}`).toBe(before[index]);
  }
  probe.stop();
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
});

/** Into the process that has no VM. */
async function restore(file: string): Promise<void> {
  await shuttle.recover(`file:${file}`);
  await until('the file has been read', async () => {
    const status = await incoming();
    return status === 'failed' || status === 'running';
  });
}

async function incoming(): Promise<string> {
  return (await shuttle.there.qmp.execute<{ status: string }>('x-srvm-query-incoming')).status;
}
