/** A guest with a paravirtual NIC alone: it moves without any plugin, under load, there and back. SRVM_SOAK=1: twenty hops. */
import { afterEach, describe, expect, it } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { expectClean } from './expect-clean.js';
import { COUNTER, GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const HOPS = SOAK ? 20 : 2;
const LIMIT_MS = SOAK ? 900_000 : 180_000;

describe('a guest with a paravirtual NIC', () => {
  let shuttle: Shuttle | null = null;
  afterEach(async () => {
    await shuttle?.close();
    shuttle = null;
  });

  it(
    'moves there and back under load: no plugin, no page missed or over-marked, no reply twice',
    async () => {
      shuttle = await Shuttle.open({ image: 'guest-images/udp-echo-virtio', devices: ['net'] });
      const probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 2000 });
      probe.start();
      try {
        for (let hop = 0; hop < HOPS; hop++) {
          await repliesGoOn(probe);
          const report = await shuttle.hop({ slowFirstRound: true });
          expectClean(report, true);
          expect(report.dmaCoverage?.pagesWritten).toBeGreaterThan(0);
          expect(report.tracker?.plugin).toBe('virtio-net');
        }
        await repliesGoOn(probe, 500);
      } finally {
        probe.stop();
      }
      await until('the last replies', () => probe.report().pending === 0);
      const { corrupt, duplicates } = probe.report();
      expect({ corrupt, duplicates }).toEqual({ corrupt: 0, duplicates: 0 });
      const counters = await shuttle.guestCounters();
      expect(counters[COUNTER.opens]).toBe(1n);
      expect(counters[COUNTER.rxErrors]).toBe(0n);
    },
    LIMIT_MS,
  );
});
