import { describe, expect, it } from 'vitest';
import { EchoLoad, type Offer } from '../../../src/measure/load/echo-load.js';
import { ReplyLog } from '../../../src/measure/load/reply-log.js';
import { UdpSender } from '../../../src/measure/load/udp-sender.js';
import { type Fate, GUEST_IP, twoStations } from './two-stations.js';

function rig(offer: Offer, giveUpMs?: number) {
  const stations = twoStations();
  stations.guest.bindUdp(7, (bytes, offset, length, _nowNs, port) => {
    const sender = new UdpSender(stations.guest, { ip: stations.load.ip, port }, 7);
    sender.bytes.set(bytes.subarray(offset, offset + length), sender.payloadOffset);
    sender.send(length);
  });
  const load = new EchoLoad({
    peer: stations.load,
    targetIp: GUEST_IP,
    offer,
    payloadBytes: 200,
    ...(giveUpMs === undefined ? {} : { giveUpMs }),
  });
  load.start();
  return { stations, load };
}

describe('echo load at a rate', () => {
  it('keeps the rate and counts what was lost, doubled and corrupted', () => {
    const { stations, load } = rig({ kind: 'rate', perSecond: 2000 });
    // the guest's address is asked for first
    stations.run(20);
    const earlier = load.report().sent;
    stations.run(100);
    const clean = load.report();
    expect(clean).toMatchObject({ lost: 0, duplicates: 0, corrupt: 0 });
    expect(Math.abs(clean.sent - earlier - 200)).toBeLessThan(5);

    const counts = { drop: 0, double: 0, corrupt: 0 };
    let number = 0;
    stations.fate = (towardsGuest) => {
      if (towardsGuest) return 'pass';
      const fates: Record<number, Fate> = { 1: 'drop', 4: 'double', 7: 'corrupt' };
      const fate = fates[number++ % 10] ?? 'pass';
      if (fate in counts) counts[fate as keyof typeof counts]++;
      return fate;
    };
    stations.run(100);
    stations.fate = () => 'pass';
    load.stop();
    stations.run(10);
    expect(counts.drop).toBeGreaterThan(10);
    expect(load.report()).toMatchObject({
      lost: counts.drop + counts.corrupt,
      duplicates: counts.double,
      corrupt: counts.corrupt,
    });
  });
});

describe('echo load with a window', () => {
  it('has no more under way than its window, and gives up what does not come', () => {
    const { stations, load } = rig({ kind: 'window', datagrams: 8 }, 20);
    // the first frame back tells the guest's address; no datagram is answered
    let back = 0;
    stations.fate = (towardsGuest) => (towardsGuest || back++ === 0 ? 'pass' : 'drop');
    stations.run(200);
    const stalled = load.report().sent;
    expect(stalled).toBeGreaterThanOrEqual(8);
    // a window every 20 ms, in at most 200 ms
    expect(stalled).toBeLessThanOrEqual(80);
    expect(load.report().lost).toBe(stalled);
  });
});

describe('reply log', () => {
  it('answers for any slice of time', () => {
    const log = new ReplyLog();
    for (let ms = 0; ms < 100; ms++) if (ms < 40 || ms >= 60) log.add(ms * 1e6, (ms + 1) * 1e3);
    expect(log.slice(0, 40e6)).toEqual({ replies: 40, perSecond: 1000, p50Us: 21, p99Us: 40 });
    expect(log.slice(40e6, 60e6)).toEqual({ replies: 0, perSecond: 0, p50Us: null, p99Us: null });
    expect(log.longestGapNs(0, 100e6)).toBe(21e6);
    // a slice that ends inside a gap
    expect(log.longestGapNs(0, 50e6)).toBe(11e6);
    expect(log.longestGapNs(45e6, 55e6)).toBe(10e6);
    expect(log.rates(0, 20e6, 5)).toEqual([1000, 1000, 0, 1000, 1000]);
    expect(log.medians(0, 20e6, 3)).toEqual([11, 31, null]);
  });
});
