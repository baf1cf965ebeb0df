import { describe, expect, it } from 'vitest';
import { BulkReceiver } from '../../../src/measure/load/bulk-receiver.js';
import { BulkSender } from '../../../src/measure/load/bulk-sender.js';
import { TimeSeries } from '../../../src/measure/load/time-series.js';
import { GUEST_IP, twoStations } from './two-stations.js';

describe('bulk sender and receiver', () => {
  it('moves a rate of verified frames after finding the target by ARP', () => {
    const stations = twoStations();
    const receiver = new BulkReceiver({ peer: stations.guest });
    const sender = new BulkSender({
      peer: stations.load,
      targetIp: GUEST_IP,
      frameBytes: 1500,
      rateFps: 10_000,
      flows: 4,
    });
    receiver.start();
    sender.start();
    stations.run(200);
    sender.stop();
    stations.run(5);
    const sent = sender.report();
    const got = receiver.report();
    expect(sent.sentFrames).toBeGreaterThan(1900);
    expect(sent.skippedFrames).toBe(0);
    expect(got).toMatchObject({
      datagrams: sent.sentFrames,
      corrupt: 0,
      lost: 0,
      duplicates: 0,
      reordered: 0,
      flows: 4,
    });
    expect(got.series.counts.reduce((a, b) => a + b, 0)).toBe(sent.sentFrames);
    expect(got.payloadBytes).toBe(sent.sentFrames * (1496 - 42));
  });

  it('sees what the wire lost, doubled and corrupted', () => {
    const stations = twoStations();
    const receiver = new BulkReceiver({ peer: stations.guest });
    const sender = new BulkSender({
      peer: stations.load,
      targetIp: GUEST_IP,
      frameBytes: 200,
      rateFps: 10_000,
    });
    receiver.start();
    sender.start();
    stations.run(20);
    const counts = { drop: 0, double: 0, corrupt: 0 };
    let seen = 0;
    stations.fate = () => {
      seen++;
      const fate =
        seen % 10 === 1 ? 'drop' : seen % 10 === 4 ? 'double' : seen % 10 === 7 ? 'corrupt' : 'pass';
      if (fate !== 'pass') counts[fate]++;
      return fate;
    };
    stations.run(100);
    stations.fate = () => 'pass';
    stations.run(5);
    sender.stop();
    stations.run(5);
    expect(receiver.report()).toMatchObject({
      lost: counts.drop + counts.corrupt,
      duplicates: counts.double,
      corrupt: counts.corrupt,
    });
  });
});

describe('time series', () => {
  it('puts events in their slices, keeps empty ones, and is bounded', () => {
    const series = new TimeSeries(1e9, 10);
    series.add(1e9, 5);
    series.add(1e9 + 9.9e6, 7);
    series.add(1e9 + 35e6, 1);
    const report = series.report(1e9 + 60e6);
    expect(report.counts).toEqual([2, 0, 0, 1, 0, 0]);
    expect(report.sums).toEqual([12, 0, 0, 1, 0, 0]);
    expect(report.maxima).toEqual([7, 0, 0, 1, 0, 0]);
    series.add(1e9 + 1e15, 1);
    expect(series.report(0).counts).toHaveLength(65536);
  });
});
