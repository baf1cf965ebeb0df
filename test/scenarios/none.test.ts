/**
 * The negative control: with a plugin that tracks nothing, what DMA wrote after its page was sent is lost. The verifier
 * has to say so and name the pages, nothing may be handed over, and the guest goes on where it was.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

let shuttle: Shuttle;
beforeAll(async () => {
  shuttle = await Shuttle.open({ image: 'guest-images/udp-echo' });
});
afterAll(() => shuttle?.close());

test('plugins/none: the verifier names the pages, and the guest stays where it is', async () => {
  const probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 2000, payloadBytes: 400 });
  probe.start();
  await repliesGoOn(probe);
  // slowly enough that packets surely arrive after their pages were sent
  const report = await shuttle.attempt({ plugin: 'plugins/none', slowFirstRound: true });

  expect(report.outcome).toBe('failed');
  expect(report.failedDuring).toBe('stop-and-copy');
  const { verdict, dmaCoverage, error } = report;
  expect(verdict?.pagesDiffering).toBeGreaterThan(0);
  expect(error).toContain('differs from the source');
  // named to the user as addresses, and in the report as page numbers that DMA truly wrote
  expect(error).toContain(`0x${(verdict!.differing[0]! * 4096).toString(16)}`);
  expect(dmaCoverage?.pagesMissed).toBeGreaterThan(0);
  const written = new Set(dmaCoverage!.missed);
  const unexplained = verdict!.differing.filter((page) => !written.has(page));
  if (dmaCoverage!.pagesMissed === dmaCoverage!.missed.length) expect(unexplained).toEqual([]);

  await repliesGoOn(probe);
  probe.stop();
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
  expect(await shuttle.here.qmp.execute('query-status')).toEqual({ status: 'running', running: true });

  // the same guest can still be moved by a plugin that does track
  await shuttle.listen();
  const good = await shuttle.hop({ mode: 'scan' });
  expect(good.verdict?.pagesDiffering).toBe(0);
});
