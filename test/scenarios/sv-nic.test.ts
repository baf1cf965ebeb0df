/**
 * A guest with a virtual interface goes back and forth between two processes whose devices virtualise themselves, under its
 * peer's UDP traffic: no page differs, none that the device's cores wrote was missed, no reply is wrong or doubled, and the
 * VIF's rate and filters go along. SRVM_SOAK=1 makes it twenty hops.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { expectClean } from './expect-clean.js';
import { GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

const HOPS = process.env['SRVM_SOAK'] ? 20 : 3;
const CORES = 2;

interface ShownVif {
  readonly name: string;
  readonly mac: string;
  readonly rateMbps: number;
  readonly attached: boolean;
  readonly serving: boolean;
  readonly filters: { readonly vlans: number[] | null };
  readonly stats: { readonly txFrames: number } | null;
}

let shuttle: Shuttle;
beforeAll(async () => {
  shuttle = await Shuttle.open({
    image: 'guest-images/udp-echo-virtio',
    devices: ['vif'],
    vifCores: CORES,
  });
});
afterAll(() => shuttle?.close());

const vifsOf = (side: Shuttle['here']): Promise<ShownVif[]> =>
  side.qmp.execute<ShownVif[]>('x-srvm-query-vifs');

test(
  `${HOPS} hops of a guest with a VIF`,
  async () => {
    const filters = { vlans: [5, 7], promiscuous: false };
    await shuttle.here.qmp.execute('x-srvm-vif-set', { name: 'vif0', rate: 900, filters });
    const probe = new EchoProbe({
      peer: shuttle.station,
      targetIp: GUEST_IP,
      rateHz: 2000,
      payloadBytes: 200,
    });
    probe.start();
    await repliesGoOn(probe);
    const [before] = await vifsOf(shuttle.here);
    for (let hop = 1; hop <= HOPS; hop++) {
      const report = await shuttle.hop({ plugin: 'plugins/sv-nic', slowFirstRound: true });
      expectClean(report);
      expect(report.tracker).toMatchObject({ plugin: 'sv-nic' });
      expect(report.tracker?.counters['pagesLogged']).toBeGreaterThan(0);
      await repliesGoOn(probe);
      const [here] = await vifsOf(shuttle.here);
      expect(here).toMatchObject({
        mac: before!.mac,
        rateMbps: 900,
        attached: true,
        serving: true,
        filters: { vlans: [5, 7], promiscuous: false },
      });
      expect(here!.stats!.txFrames).toBeGreaterThan(0);
    }
    probe.stop();
    const seen = probe.report();
    expect(seen).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
    expect(seen.replies).toBeGreaterThan(HOPS * 50);
    // where the guest is not, nobody has its VIF, and it can be removed
    const [there] = await vifsOf(shuttle.there);
    expect(there).toMatchObject({ attached: false, stats: null });
    await expect(shuttle.here.qmp.execute('x-srvm-vif-remove', { name: 'vif0' })).rejects.toThrow(
      'has a guest',
    );
    await shuttle.there.qmp.execute('x-srvm-vif-remove', { name: 'vif0' });
    expect(await vifsOf(shuttle.there)).toEqual([]);
  },
  150_000 + HOPS * 15_000,
);
