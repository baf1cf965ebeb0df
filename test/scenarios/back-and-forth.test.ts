/**
 * Guests go back and forth between two processes under their own traffic, in both modes of SRVM: no page differs, no page
 * that DMA wrote was missed, the peer sees no reply that is wrong, doubled or out of order, and the guest's own counters
 * and its VF's statistics go on as if nothing had happened. SRVM_SOAK=1 makes it a hundred hops each.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { expectClean } from './expect-clean.js';
import { expectCountersGrown, expectGrown } from './guest-counters.js';
import { COUNTER, GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

const HOPS = process.env['SRVM_SOAK'] ? 100 : 2;
const PROBE_HZ = 2000;
const MODES = ['scan', 'shadow-doorbell'] as const;
const IMAGES = [
  // a Tx ring of one page: marked as a whole when its head moves, it is then exactly what was written
  { image: 'udp-echo', append: 'tx-ring=256', exact: true },
  { image: 'c-echo', append: '', exact: false },
] as const;

describe.each(IMAGES)('$image', ({ image, append, exact }) => {
  let shuttle: Shuttle;
  beforeAll(async () => {
    shuttle = await Shuttle.open({ image: `guest-images/${image}`, append });
  });
  afterAll(() => shuttle?.close());

  test.each(MODES)(
    `${HOPS} hops, %s`,
    async (mode) => {
      const { station } = shuttle;
      const quietBefore = await shuttle.quietGuestCounters();
      const probe = new EchoProbe({ peer: station, targetIp: GUEST_IP, rateHz: PROBE_HZ, payloadBytes: 200 });
      probe.start();
      await repliesGoOn(probe);
      let counters = await shuttle.guestCounters();
      for (let hop = 1; hop <= HOPS; hop++) {
        const statistics = await shuttle.vfStatistics();
        const report = await shuttle.hop({ mode });
        expectClean(report, exact && mode === 'shadow-doorbell');
        for (const [name, after] of Object.entries(await shuttle.vfStatistics()))
          expectGrown(statistics[name]!, after, name);
        await repliesGoOn(probe);
        const now = await shuttle.guestCounters();
        expectCountersGrown(counters, now);
        counters = now;
      }
      probe.stop();
      const seen = probe.report();
      expect(seen).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
      expect(seen.replies).toBeGreaterThan(HOPS * 50);

      const quietAfter = await shuttle.quietGuestCounters();
      // what the card counts and what the driver counts have not drifted apart, and the driver never restarted
      for (const [card, driver] of [
        [COUNTER.vfRxPackets, COUNTER.rxPackets],
        [COUNTER.vfTxPackets, COUNTER.txPackets],
      ] as const) {
        expect(quietAfter[card]! - quietAfter[driver]!).toBe(quietBefore[card]! - quietBefore[driver]!);
      }
      for (const index of [COUNTER.opens, COUNTER.reloads, COUNTER.rxErrors, COUNTER.hangs]) {
        expect(quietAfter[index], `counter ${index}`).toBe(quietBefore[index]);
      }
    },
    150_000 + HOPS * 10_000,
  );
});
