/** packet-sink: verification and sequence counting, held against the generator and against the repository's own tracker. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameGenerator } from '../../src/hardware/wire/generator.js';
import { SequenceTracker } from '../../src/hardware/wire/sequence-tracker.js';
import { writePayload } from '../../src/hardware/wire/test-payload.js';
import { GUEST_IP, HOST_IP, HOST_MAC } from './frames.js';
import { GUEST_MAC } from './guest-machine.js';
import { askCounters, COUNTER, type Station, settle, withGuest } from './station.js';

function payload(bytes: number, seq: number): Uint8Array {
  const data = new Uint8Array(bytes);
  writePayload(data, 0, bytes, seq, seq * 1000);
  return data;
}

function* counted(station: Station): Generator<() => boolean, number[], void> {
  const counters: number[] = [];
  yield* settle(station);
  yield* askCounters(station, counters);
  return counters;
}

describe('packet-sink', () => {
  it('counts whole packets of every size', () => {
    withGuest('packet-sink', {}, function* (station) {
      let bytes = 0;
      for (let size = 16, seq = 0; size <= 1472; size += 3, seq++) {
        station.host.sendUdp(9, payload(size, seq));
        bytes += size;
      }
      const counters = yield* counted(station);
      expect(counters.slice(0, 6)).toEqual([486, bytes, 0, 0, 0, 0]);
    });
  });

  it('finds any flipped bit of the words that the check covers', () => {
    withGuest('packet-sink', {}, function* (station) {
      let sent = 0;
      const spoiled = fc
        .integer({ min: 16, max: 200 })
        .chain((bytes) =>
          fc.record({ bytes: fc.constant(bytes), bit: fc.integer({ min: 0, max: (bytes & ~3) * 8 - 1 }) }),
        );
      for (const { bytes, bit } of fc.sample(spoiled, 300)) {
        const data = payload(bytes, sent++);
        data[bit >> 3]! ^= 1 << (bit & 7);
        station.host.sendUdp(9, data);
      }
      const counters = yield* counted(station);
      expect(counters[COUNTER.received]).toBe(sent);
      expect(counters[COUNTER.badChecksum]).toBe(sent);
    });
  });

  it('counts gaps, duplicates and late packets as the tracker does', () => {
    withGuest('packet-sink', {}, function* (station) {
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        { weight: 2, arbitrary: fc.integer({ min: -40, max: 40 }) },
        { weight: 1, arbitrary: fc.integer({ min: 100, max: 70_000 }) },
      );
      let port = 20_000;
      for (const steps of fc.sample(fc.array(step, { minLength: 1, maxLength: 120 }), 40)) {
        const reset: number[] = [];
        yield* askCounters(station, reset, true);
        const tracker = new SequenceTracker();
        let late = 0;
        let seq = 1_000_000;
        for (const each of [0, ...steps]) {
          seq += each;
          // below the first number the tracker knows nothing, and neither has an opinion of the other
          seq = Math.max(seq, 1_000_000);
          station.host.sendUdp(9, payload(18, seq), port);
          late += tracker.accept(seq) === 1 ? 1 : 0;
        }
        const counters = yield* counted(station);
        expect(counters[COUNTER.received]).toBe(steps.length + 1);
        expect(counters[COUNTER.duplicates]).toBe(tracker.duplicates);
        expect(counters[COUNTER.outOfOrder]).toBe(late);
        expect(counters[COUNTER.lost]).toBe(tracker.missing);
        port++;
      }
    });
  });

  it('keeps streams of different ports apart', () => {
    withGuest('packet-sink', {}, function* (station) {
      for (let seq = 0; seq < 20; seq++) {
        for (let flow = 0; flow < 30; flow++)
          station.host.sendUdp(9, payload(18, seq + flow * 1000), 20_000 + flow);
        yield* settle(station);
      }
      const counters = yield* counted(station);
      expect(counters.slice(0, 6)).toEqual([600, 600 * 18, 0, 0, 0, 0]);
    });
  });

  it('takes a stream that begins anew for a new one', () => {
    withGuest('packet-sink', {}, function* (station) {
      for (const last of [200, 200]) {
        for (let seq = 0; seq < last; seq++) station.host.sendUdp(9, payload(18, seq));
      }
      const counters = yield* counted(station);
      expect(counters.slice(0, 6)).toEqual([400, 400 * 18, 0, 0, 0, 0]);
    });
  });

  it('loses nothing of what the card delivered, over two queues and several flows', () => {
    withGuest('packet-sink', {}, function* (station) {
      const generator = new FrameGenerator({
        clock: station.machine.clock,
        sourceMac: HOST_MAC,
        targetMac: GUEST_MAC,
        sourceIp: HOST_IP,
        targetIp: GUEST_IP,
        frameBytes: 64,
        flows: 5,
      });
      for (let burst = 0; burst < 100; burst++) {
        generator.receive((bytes, offset, length) => {
          station.host.sendFrame(bytes.subarray(offset, offset + length));
          return true;
        }, 400);
        yield* settle(station);
      }
      const counters = yield* counted(station);
      expect(counters.slice(0, 6)).toEqual([40_000, 40_000 * 18, 0, 0, 0, 0]);
      // the query is counted at the end of its turn
      expect(counters[COUNTER.rxPackets]).toBe(counters[COUNTER.gprc]! - 1);
    });
  });
});
