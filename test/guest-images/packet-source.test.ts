/** packet-source: what it sends, how much, and by which way. */
import { describe, expect, it } from 'vitest';
import {
  ETHERNET_BYTES,
  IPV4_BYTES,
  internetChecksum,
  readU16,
  readU32,
} from '../../src/hardware/wire/frames.js';
import { payloadIsGood, payloadSeq } from '../../src/hardware/wire/test-payload.js';
import { udpChecksum } from './frames.js';
import { withGuest } from './station.js';

const TCP_HEADER_BYTES = 20;

describe('packet-source', () => {
  it('asks for the peer, then sends numbered datagrams of the given size, so many and no more', () => {
    const options = { commandLine: 'ip=10.0.0.2 peer=10.0.0.1 size=256 count=500 flows=2 rate=0' };
    withGuest('packet-source', options, function* ({ machine, host }) {
      yield* machine.until(() => {
        host.receive();
        return host.datagrams.length >= 500;
      }, '500 datagrams');
      yield* machine.sleepMs(50);
      host.receive();
      expect(host.datagrams).toHaveLength(500);
      for (const [i, { payload, sourcePort, targetPort }] of host.datagrams.entries()) {
        expect(targetPort).toBe(9);
        expect(sourcePort).toBe(20_000 + (i & 1));
        expect(payload.length).toBe(256 - 4 - 42);
        expect(payloadSeq(payload, 0)).toBe(i >> 1);
        expect(payloadIsGood(payload, 0, payload.length)).toBe(true);
      }
      const frame = host.frames.at(-1)!;
      const udp = ETHERNET_BYTES + IPV4_BYTES;
      expect(udpChecksum(frame, udp, readU16(frame, udp + 4))).toBe(0);
      expect(machine.dmaFaults).toBe(0);
    });
  });

  it('keeps its rate', () => {
    const options = { commandLine: 'ip=10.0.0.2 peer=10.0.0.1 size=64 rate=20000' };
    withGuest('packet-source', options, function* ({ machine, host }) {
      yield* machine.until(() => {
        host.receive();
        return host.datagrams.length > 0;
      }, 'the first one');
      const before = host.datagrams.length;
      for (let ms = 0; ms < 100; ms++) {
        yield* machine.sleepMs(1);
        host.receive();
      }
      expect(host.datagrams.length - before).toBeGreaterThan(1900);
      expect(host.datagrams.length - before).toBeLessThan(2100);
    });
  });

  it('lets the card cut large TCP sends into segments that are whole by themselves', () => {
    const options = { commandLine: 'ip=10.0.0.2 peer=10.0.0.1 tso=1 count=1000 rate=0' };
    withGuest('packet-source', options, function* ({ machine, host }) {
      const segments = () => host.frames.filter((frame) => readU16(frame, 12) === 0x0800 && frame[23] === 6);
      yield* machine.until(() => {
        host.receive();
        return segments().length >= 1000;
      }, '1000 segments');
      let tcpSequence = 0;
      for (const [i, frame] of segments().entries()) {
        const tcp = ETHERNET_BYTES + IPV4_BYTES;
        const totalBytes = readU16(frame, ETHERNET_BYTES + 2);
        expect(internetChecksum(frame, ETHERNET_BYTES, IPV4_BYTES)).toBe(0);
        expect(udpChecksum(frame, tcp, totalBytes - IPV4_BYTES)).toBe(0);
        expect(readU32(frame, tcp + 4)).toBe(tcpSequence);
        const at = tcp + TCP_HEADER_BYTES;
        const bytes = totalBytes - IPV4_BYTES - TCP_HEADER_BYTES;
        expect(bytes).toBe(1460);
        expect(payloadIsGood(frame, at, bytes)).toBe(true);
        expect(payloadSeq(frame, at)).toBe(i);
        tcpSequence += bytes;
      }
      expect(segments()).toHaveLength(1000);
      expect(machine.dmaFaults).toBe(0);
    });
  });
});
