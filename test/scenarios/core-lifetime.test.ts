/**
 * The extra core exists in pre-copy and at no other time: the source process's threads, as the kernel lists them, before,
 * in each phase, and after. A migration that fails leaves none behind either.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const TRACKER = 'srvm tracker';
const onLinux = process.platform === 'linux';

let shuttle: Shuttle;
let probe: EchoProbe;
beforeAll(async () => {
  shuttle = await Shuttle.open({ image: 'guest-images/udp-echo' });
  probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 500 });
  probe.start();
});
afterAll(() => shuttle?.close());

const trackers = async (of = shuttle.here): Promise<number> =>
  (await shuttle.threads(of)).filter((name) => name === TRACKER).length;

test.skipIf(!onLinux).each(['scan', 'shadow-doorbell'] as const)('%s', async (mode) => {
  await repliesGoOn(probe);
  const { here: source, there: destination } = shuttle;
  const before = await shuttle.threads();
  expect(before).not.toContain(TRACKER);

  const inPhase: Record<string, Promise<number>> = {};
  const report = await shuttle.attempt({
    mode,
    // slow enough that a question asked in pre-copy is answered there
    maxBandwidth: 10_000_000,
    watcher: {
      onPhase: (phase) => {
        if (phase === 'reservation') inPhase[phase] ??= trackers(source);
      },
      onRound: ({ round }) => {
        // round 1 is over, a second is to come: the core must be there now
        if (round === 1) inPhase['pre-copy'] ??= trackers(source);
      },
    },
  });
  expect(report.outcome, report.error ?? '').toBe('completed');
  expect(await inPhase['reservation']).toBe(0);
  expect(await inPhase['pre-copy']).toBe(1);

  await until('the source has no tracker', async () => (await trackers(source)) === 0);
  expect(await trackers(destination)).toBe(0);
  expect(report.tracker!.coreAliveNs).toBeGreaterThan(0);
  expect(report.tracker!.coreAliveNs).toBeLessThan(report.totalMs * 1e6);
  await shuttle.arrived();
  await repliesGoOn(probe);
});

test.skipIf(!onLinux)('none is left by a migration that is cancelled in pre-copy', async () => {
  const before = await shuttle.threads();
  let cancelled: Promise<unknown> | null = null;
  let seen = 0;
  const report = await shuttle.attempt({
    maxBandwidth: 5_000_000,
    watcher: {
      onPhase: (phase) => {
        if (phase !== 'pre-copy') return;
        cancelled ??= until('the tracker has come', async () => (seen = await trackers()) === 1).then(() =>
          shuttle.here.qmp.execute('migrate_cancel'),
        );
      },
    },
  });
  await cancelled;
  expect(report.outcome).toBe('cancelled');
  expect(seen).toBe(1);
  await until('its threads have ended', async () => (await shuttle.threads()).length <= before.length);
  expect(await trackers()).toBe(0);
  await repliesGoOn(probe);
});
