/**
 * Guests go back and forth between two processes under their own traffic, in both modes of SRVM: no page differs, no page
 * that DMA wrote was missed, the peer sees no reply that is wrong, doubled or out of order, and the guest's own counters
 * and its VF's statistics go on as if nothing had happened. SRVM_SOAK=1 makes it a hundred hops each.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { expectClean } from './expect-clean.js';
import { COUNTER, GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

const HOPS = process.env['SRVM_SOAK'] ? 100 : 4;
const PROBE_HZ = 2000;
const MODES = ['scan', 'shadow-doorbell'] as const;
const IMAGES = [
  // a Tx ring of one page: marked as a whole when its head moves, it is then exactly what was written
  { image: 'udp-echo', append: 'tx-ring=256', exact: true },
  { image: 'c-echo', append: '', exact: false },
] as const;
/** Counters of the guest that only grow: its driver's own, its VF's as it reads them, its clock. */
const GROWING = [
  COUNTER.rxPackets,
  COUNTER.rxBytes,
  COUNTER.txPackets,
  COUNTER.txBytes,
  COUNTER.vfRxPackets,
  COUNTER.vfTxPackets,
  COUNTER.interrupts,
  COUNTER.clockNs,
];

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
      const quietBefore = await shuttle.guestCounters();
      const probe = new EchoProbe({ peer: station, targetIp: GUEST_IP, rateHz: PROBE_HZ, payloadBytes: 200 });
      probe.start();
      await repliesGoOn(probe);
      let counters = await shuttle.guestCounters();
      for (let hop = 1; hop <= HOPS; hop++) {
        const statistics = await shuttle.vfStatistics();
        const report = await shuttle.hop({ mode });
        expectClean(report, exact && mode === 'shadow-doorbell');
        expectGrown(Object.values(statistics), Object.values(await shuttle.vfStatistics()), 'VF statistics');
        await repliesGoOn(probe);
        const now = await shuttle.guestCounters();
        for (const index of GROWING) expectGrown([counters[index]!], [now[index]!], `counter ${index}`);
        counters = now;
      }
      probe.stop();
      const seen = probe.report();
      expect(seen).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
      expect(seen.replies).toBeGreaterThan(HOPS * 50);

      const quietAfter = await shuttle.guestCounters();
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
    30_000 + HOPS * 10_000,
  );
});

function expectGrown<T extends number | bigint>(
  before: readonly T[],
  after: readonly T[],
  what: string,
): void {
  for (const [index, value] of after.entries()) {
    expect(value >= before[index]!, `${what}: ${before[index]} before the hop, ${value} after it`).toBe(true);
  }
}
