/**
 * The extra core exists in pre-copy and at no other time: the source process's threads, as the kernel lists them, before,
 * in each phase, and after. A migration that fails leaves none behind either.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { SeverableLink } from './severable-link.js';
import { GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const TRACKER = 'srvm tracker';
/** Bytes a second: some seconds for what this guest has, in which a question is answered on any machine. */
const SLOWLY = 300_000;
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

/** How many there are as soon as there is any. */
async function trackersThere(): Promise<number> {
  let seen = 0;
  await until('the tracker has come', async () => (seen = await trackers()) > 0);
  return seen;
}

const hasten = (): Promise<unknown> =>
  shuttle.here.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0 });

test.skipIf(!onLinux).each(['scan', 'shadow-doorbell'] as const)('%s', async (mode) => {
  await repliesGoOn(probe);
  const { here: source, there: destination } = shuttle;
  const before = await shuttle.threads();
  expect(before).not.toContain(TRACKER);

  const inPhase: Record<string, Promise<number>> = {};
  // reservation lasts until the question asked in it has been answered, pre-copy until a core has been seen
  const link = await SeverableLink.open(`${shuttle.lab.folder}/${mode}.sock`, shuttle.uri);
  let reserved = (): void => {};
  link.answersAfter = new Promise<void>((resolve) => {
    reserved = resolve;
  });
  const report = await shuttle.attempt({
    mode,
    uri: link.uri,
    maxBandwidth: SLOWLY,
    watcher: {
      onPhase: (phase) => {
        if (phase === 'reservation') inPhase[phase] ??= trackers(source).finally(reserved);
        if (phase === 'pre-copy') inPhase[phase] ??= trackersThere().finally(hasten);
      },
    },
  });
  await link.close();
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
  let cancelled: Promise<number> | null = null;
  const report = await shuttle.attempt({
    maxBandwidth: SLOWLY,
    watcher: {
      onPhase: (phase) => {
        if (phase !== 'pre-copy') return;
        cancelled ??= trackersThere().finally(() => shuttle.here.qmp.execute('migrate_cancel'));
      },
    },
  });
  expect(await cancelled).toBe(1);
  expect(report.outcome).toBe('cancelled');
  await until('its threads have ended', async () => (await shuttle.threads()).length <= before.length);
  expect(await trackers()).toBe(0);
  await repliesGoOn(probe);
});
