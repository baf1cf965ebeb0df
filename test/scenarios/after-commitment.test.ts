/**
 * After commitment the destination owns the guest: what becomes of the source does not matter to it, and the source never
 * runs it again, whoever asks.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { migrateAndWait } from './migrations.js';
import { GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

let shuttle: Shuttle;
let probe: EchoProbe;
beforeEach(async () => {
  shuttle = await Shuttle.open({ image: 'guest-images/udp-echo' });
  probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 1000 });
  probe.start();
  await repliesGoOn(probe);
});
afterEach(() => shuttle?.close());

test('a source that dies as soon as the guest runs elsewhere is not missed', async () => {
  const { here: source, there: destination } = shuttle;
  const { uri } = shuttle;
  const over = migrateAndWait(
    source.qmp,
    uri,
    { mode: 'scan' },
    {
      onPhase: (phase) => {
        // the source hears RUNNING in this phase: COMMIT went out before it
        if (phase === 'activation') source.child.kill('SIGKILL');
      },
    },
  );
  await over.catch(() => {});
  await source.ended;
  await repliesGoOn(probe);
  expect(await destination.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
  probe.stop();
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
});

test('a source refuses to run, stop or move a guest that has left', async () => {
  const { here: source, there: destination } = shuttle;
  const { uri } = shuttle;
  const report = await migrateAndWait(source.qmp, uri, { mode: 'shadow-doorbell' });
  expect(report.outcome).toBe('completed');
  expect(await source.qmp.execute('query-status')).toEqual({ status: 'postmigrate', running: false });
  await expect(source.qmp.execute('cont')).rejects.toThrow(/never runs here again/);
  await expect(source.qmp.execute('stop')).rejects.toThrow(/has no VM/);
  await expect(source.qmp.execute('migrate', { uri })).rejects.toThrow(/postmigrate/);
  await source.qmp.execute('migrate_cancel');
  await repliesGoOn(probe);
  expect(await destination.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
});
