/** What every image answers, by way of udp-echo against the real card. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ETHERNET_BYTES, IPV4_BYTES, internetChecksum, readU16 } from '../../src/hardware/wire/frames.js';
import { Host, udpChecksum } from './frames.js';
import { askCounters, COUNTER, pattern, withGuest } from './station.js';

const ICMP_AT = ETHERNET_BYTES + IPV4_BYTES;

describe('udp-echo', () => {
  it('answers ARP with its address', () => {
    withGuest('udp-echo', {}, function* ({ machine, host }) {
      host.receive();
      host.frames.length = 0;
      host.sendArpRequest('10.0.0.3');
      host.sendArpRequest();
      yield* machine.until(() => {
        host.receive();
        return host.frames.length > 0;
      }, 'an ARP reply');
      yield* machine.sleepMs(1);
      host.receive();
      expect(host.frames).toHaveLength(1);
      const [reply] = host.frames;
      expect(readU16(reply!, 12)).toBe(0x0806);
      expect([...reply!.subarray(20, 22)]).toEqual([0, 2]);
      expect([...reply!.subarray(22, 28)]).toEqual([0x52, 0x54, 0, 0, 0, 1]);
      expect([...reply!.subarray(28, 32)]).toEqual([10, 0, 0, 2]);
    });
  });

  it('answers ping with the same data and a right checksum', () => {
    withGuest('udp-echo', {}, function* ({ machine, host }) {
      host.receive();
      host.frames.length = 0;
      host.sendPing(pattern(57, 3), 0x12345678);
      yield* machine.until(() => {
        host.receive();
        return host.frames.length > 0;
      }, 'a ping reply');
      const [reply] = host.frames;
      expect(reply![ICMP_AT]).toBe(0);
      expect(internetChecksum(reply!, ICMP_AT, 8 + 57)).toBe(0);
      expect(internetChecksum(reply!, ETHERNET_BYTES, IPV4_BYTES)).toBe(0);
      expect(reply!.slice(ICMP_AT + 8, ICMP_AT + 8 + 57)).toEqual(pattern(57, 3));
    });
  });

  it('echoes datagrams of any size in order, with checksums the card made', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1472 }), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(
        sizes,
        fc.constantFrom('', ' queues=1', ' hold=64', ' tx-batch=8', ' rx-ring=64'),
        (lengths, more) => {
          withGuest('udp-echo', { commandLine: `ip=10.0.0.2${more}` }, function* ({ machine, host }) {
            for (const [i, length] of lengths.entries())
              host.sendUdp(7, pattern(length, i), 20_000 + (i & 1));
            yield* machine.until(() => {
              host.receive();
              return host.datagrams.length >= lengths.length;
            }, 'all echoes');
            expect(host.datagrams.map((each) => each.payload)).toEqual(
              lengths.map((length, i) => pattern(length, i)),
            );
            for (const frame of host.frames.filter((each) => each[23] === 17)) {
              expect(udpChecksum(frame, ICMP_AT, readU16(frame, ICMP_AT + 4))).toBe(0);
            }
            expect(machine.dmaFaults).toBe(0);
          });
        },
      ),
      { numRuns: 12 },
    );
  });

  it('drops a datagram whose checksum is wrong, and takes one whose checksum is right', () => {
    withGuest('udp-echo', {}, function* (station) {
      const { machine, host } = station;
      host.sendUdp(7, pattern(100, 1), 20_000, (frame) => {
        Host.fillUdpChecksum(frame);
        frame[60]! ^= 1;
      });
      host.sendUdp(7, pattern(100, 2), 20_001, Host.fillUdpChecksum);
      yield* machine.sleepMs(2);
      const counters: number[] = [];
      yield* askCounters(station, counters);
      expect(host.datagrams.filter((each) => each.sourcePort === 7).map((each) => each.targetPort)).toEqual([
        20_001,
      ]);
      expect(counters[COUNTER.rxErrors]).toBe(1);
    });
  });

  it('takes jumbo frames in several descriptors', () => {
    const options = { commandLine: 'ip=10.0.0.2 mtu=9000', maxFrameBytes: 9728 };
    withGuest('udp-echo', options, function* ({ machine, host }) {
      const lengths = [8972, 18, 3000, 6000, 3072 - 42, 3072 - 41, 1472];
      for (const [i, length] of lengths.entries()) host.sendUdp(7, pattern(length, i));
      yield* machine.until(() => {
        host.receive();
        return host.datagrams.length === lengths.length;
      }, 'all jumbo echoes');
      expect(host.datagrams.map((each) => each.payload)).toEqual(
        lengths.map((length, i) => pattern(length, i)),
      );
    });
  });

  it('survives frames that lie about their lengths', () => {
    withGuest('udp-echo', {}, function* ({ machine, host }) {
      const spoils: ((frame: Uint8Array) => void)[] = [
        (frame) => frame.fill(0xff, 16, 18),
        (frame) => frame.fill(0, 16, 18),
        (frame) => frame.fill(0xff, 38, 40),
        (frame) => frame.fill(0, 38, 40),
        (frame) => {
          frame[14] = 0x4f;
        },
        (frame) => {
          frame[20] = 0x20;
        },
      ];
      for (const spoil of spoils) host.sendUdp(7, pattern(30, 1), 20_000, spoil);
      host.sendUdp(7, pattern(30, 9), 20_009);
      yield* machine.until(() => {
        host.receive();
        return host.lastTo(20_009) !== undefined;
      }, 'an echo after the damaged ones');
      expect(host.lastTo(20_000)).toBeUndefined();
    });
  });
});
