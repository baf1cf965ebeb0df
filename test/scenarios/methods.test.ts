/**
 * Methods beside SRVM's that need nothing of the guest, between two processes: one guest, one hop with each, under echo
 * traffic. Twenty in a row are a benchmark (plugin-soak).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { expectClean } from './expect-clean.js';
import { GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

const METHODS = ['iommu-dirty', 'doorbell-trap', 'freeze-walk'] as const;

describe('an unmodified guest', () => {
  let shuttle: Shuttle;
  beforeAll(async () => {
    shuttle = await Shuttle.open({ image: 'guest-images/udp-echo', both: ['--iommu', 'dirty-bits=on'] });
  });
  afterAll(() => shuttle?.close());

  test.each(METHODS)(
    'travels by %s',
    async (method) => {
      const probe = new EchoProbe({
        peer: shuttle.station,
        targetIp: GUEST_IP,
        rateHz: 1000,
        payloadBytes: 200,
      });
      probe.start();
      await repliesGoOn(probe);
      const report = await shuttle.hop({ plugin: `plugins/${method}`, slowFirstRound: true });
      await repliesGoOn(probe);
      probe.stop();
      expectClean(report, method === 'iommu-dirty');
      expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
      expect(report.tracker?.coreCpuNs).toBe(0);
      if (method === 'freeze-walk') expect(report.notes.join(' ')).toMatch(/all of guest RAM is sent/);
      if (method === 'doorbell-trap')
        expect(report.tracker?.counters).toMatchObject({
          rxTailWrites: expect.toSatisfy((n: number) => n > 0),
        });
    },
    120_000,
  );
});
