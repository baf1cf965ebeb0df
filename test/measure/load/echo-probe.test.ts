import { describe, expect, it } from 'vitest';
import { EchoProbe } from '../../../src/measure/load/echo-probe.js';
import { UdpSender } from '../../../src/measure/load/udp-sender.js';
import { GUEST_IP, type TwoStations, twoStations } from './two-stations.js';

/** Echoes on port 7, after a delay in virtual time, unless told to be silent. */
function echoGuest(stations: TwoStations, delayMs = 0): { silent: boolean } {
  const state = { silent: false };
  const held: { dueNs: number; bytes: Uint8Array; port: number }[] = [];
  stations.guest.bindUdp(7, (bytes, offset, length, nowNs, port) => {
    if (!state.silent) {
      held.push({ dueNs: nowNs + delayMs * 1e6, bytes: bytes.slice(offset, offset + length), port });
    }
  });
  stations.guest.addLoad({
    nextDueNs: () => Number.POSITIVE_INFINITY,
    step: (nowNs) => {
      let count = 0;
      while (held.length > 0 && held[0]!.dueNs <= nowNs) {
        const { bytes, port } = held.shift()!;
        const sender = new UdpSender(stations.guest, { ip: stations.load.ip, port }, 7);
        sender.bytes.set(bytes, sender.payloadOffset);
        sender.send(bytes.length);
        count++;
      }
      return count;
    },
  });
  return state;
}

function build(delayMs = 0) {
  const stations = twoStations();
  const guest = echoGuest(stations, delayMs);
  const probe = new EchoProbe({ peer: stations.load, targetIp: GUEST_IP, rateHz: 1000, timeoutMs: 50 });
  return { stations, guest, probe };
}

describe('echo probe', () => {
  it('finds its target, keeps its rate and measures the round trip', () => {
    const { stations, probe } = build(3);
    probe.start();
    stations.run(200);
    probe.stop();
    stations.run(10);
    const report = probe.report();
    expect(report).toMatchObject({ lost: 0, duplicates: 0, reordered: 0, corrupt: 0, pending: 0 });
    expect(report.replies).toBe(report.sent);
    expect(report.sent).toBeGreaterThan(190);
    expect(report.sent).toBeLessThan(202);
    expect(report.rtt.p50Us).toBeCloseTo(3000, -1);
    expect(report.longestGapMs).toBeCloseTo(1, 6);
    expect(report.series.counts.reduce((a, b) => a + b, 0)).toBe(report.replies);
  });

  it('pings a station that has an IP stack of its own', () => {
    const stations = twoStations();
    const probe = new EchoProbe({ peer: stations.load, targetIp: GUEST_IP, rateHz: 1000, ping: true });
    probe.start();
    stations.run(100);
    probe.stop();
    stations.run(10);
    const report = probe.report();
    expect(report).toMatchObject({ lost: 0, duplicates: 0, corrupt: 0, pending: 0 });
    expect(report.replies).toBe(report.sent);
    expect(report.sent).toBeGreaterThan(90);
  });

  it('says how late it was itself, and catches up', () => {
    const { stations, probe } = build();
    probe.start();
    stations.run(20);
    expect(probe.report().longestStallMs).toBeLessThan(0.001);
    stations.clock.advanceMs(12);
    stations.run(20);
    const report = probe.report();
    // The next probe was due one millisecond after the last.
    expect(report.longestStallMs).toBeCloseTo(11, 3);
    expect(report.sent).toBeGreaterThan(49);
  });

  it('sees a silence as one gap, with its time, and as lost probes', () => {
    const { stations, guest, probe } = build();
    probe.start();
    stations.run(100);
    const before = stations.clock.nowNs();
    guest.silent = true;
    stations.run(30);
    expect(probe.report().longestGapMs).toBeGreaterThan(28);
    guest.silent = false;
    stations.run(100);
    const report = probe.report();
    expect(report.longestGapMs).toBeGreaterThan(28);
    expect(report.longestGapMs).toBeLessThan(33);
    expect(Math.abs(report.longestGapStartNs - before)).toBeLessThan(2.1e6);
    expect(report.lost).toBeGreaterThanOrEqual(29);
    expect(report.lost).toBeLessThanOrEqual(31);
    const empty = report.series.counts.slice(10, 13).filter((count) => count === 0).length;
    expect(empty).toBeGreaterThanOrEqual(2);
  });

  it('counts what the wire doubled, lost and corrupted', () => {
    const { stations, probe } = build();
    let seen = 0;
    let doubled = 0;
    let dropped = 0;
    let corrupted = 0;
    stations.run(1);
    probe.start();
    stations.run(2);
    stations.fate = (towardsGuest) => {
      if (towardsGuest) return 'pass';
      seen++;
      if (seen % 7 === 0) {
        doubled++;
        return 'double';
      }
      if (seen % 11 === 0) {
        dropped++;
        return 'drop';
      }
      return 'pass';
    };
    stations.run(300);
    stations.fate = (towardsGuest) => {
      if (!towardsGuest) corrupted++;
      return towardsGuest ? 'pass' : 'corrupt';
    };
    stations.run(20);
    probe.stop();
    stations.run(100);
    const report = probe.report();
    expect(report).toMatchObject({ duplicates: doubled, lost: dropped + corrupted, corrupt: corrupted });
    expect(report.replies + report.lost).toBe(report.sent);
  });

  it('tells unanswered probes that are still in time from lost ones', () => {
    const { stations, guest, probe } = build();
    probe.start();
    stations.run(20);
    guest.silent = true;
    stations.run(70);
    const { lost, pending } = probe.report();
    expect(pending).toBeGreaterThan(45);
    expect(pending).toBeLessThan(52);
    expect(lost).toBeGreaterThan(17);
    expect(lost).toBeLessThan(24);
  });

  it('refuses a payload that cannot carry the test words', () => {
    const { load } = twoStations();
    expect(() => new EchoProbe({ peer: load, targetIp: GUEST_IP, payloadBytes: 8 })).toThrow(/from 16 to/);
  });
});
