import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf } from '../../../src/hardware/bytes.js';
import { sctpChecksum, sumOf } from '../../../src/hardware/nic/offload.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RxRing, TXD_EOP_RS, TxRing } from './engine-harness.js';
import {
  ethernet,
  internetChecksum,
  ipv4,
  ipv6,
  pseudoHeader,
  tagged,
  tcpPacket,
  tcpSegment,
  udpPacket,
} from './packets.js';

const IPCS = 1 << 6;
const L4CS = 1 << 5;
const UDPCS = 1 << 4;
const UDPV = 1 << 10;
const L4E = 1 << 30;
const IPE = 0x8000_0000 | 0;
const TYPE = { ipv4: 1 << 4, ipv6: 1 << 6, extensions: 1 << 7, tcp: 1 << 8, udp: 1 << 9, sctp: 1 << 10 };
const payload = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff);

/** What the card says about one received frame: status and errors without DD and EOP, and the packet type. */
function received(frame: Uint8Array): { status: number; type: number } {
  const card = new Card();
  const ring = new RxRing(new Pool(card, 0));
  ring.post(1);
  card.wire.arriving.push(frame);
  card.run();
  return { status: ring.status(0) & ~3, type: ring.word(0, 0) };
}

const damaged = (frame: Uint8Array, at: number): Uint8Array => {
  const copy = frame.slice();
  copy[at]! ^= 0x40;
  return copy;
};

describe('the sum', () => {
  it('is the obvious one, for any place and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(7), (data, offset) => {
        const bytes = new Uint8Array(offset + data.length);
        bytes.set(data, offset);
        const sum = sumOf(bytesOf(bytes).view, offset, data.length);
        expect(~sum & 0xffff).toBe(internetChecksum(data));
      }),
    );
  });

  it('does not overflow on the longest packet', () => {
    const bytes = new Uint8Array(65535).fill(0xff);
    expect(~sumOf(bytesOf(bytes).view, 0, 65535) & 0xffff).toBe(internetChecksum(bytes));
  });

  it('CRC32c of SCTP is the published one', () => {
    // "123456789" has CRC32c e3069283; the checksum field is taken as zero, so it is put around nothing else
    const text = new TextEncoder().encode('12345678');
    let crc = -1;
    for (const byte of [...text, 0, 0, 0, 0]) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    expect(sctpChecksum(Uint8Array.from([...text, 9, 9, 9, 9]), 0, 12)).toBe(~crc >>> 0);
  });
});

describe('verifying on receive', () => {
  const to = macOf(0);
  it.each([
    ['UDP', udpPacket(to, PEER_MAC, payload(101)), IPCS | L4CS | UDPCS | UDPV, TYPE.ipv4 | TYPE.udp],
    [
      'UDP without checksum',
      udpPacket(to, PEER_MAC, payload(100), { noChecksum: true }),
      IPCS,
      TYPE.ipv4 | TYPE.udp,
    ],
    ['TCP', tcpPacket(to, PEER_MAC, payload(1400)), IPCS | L4CS, TYPE.ipv4 | TYPE.tcp],
    ['tagged TCP', tagged(tcpPacket(to, PEER_MAC, payload(100)), 3), IPCS | L4CS, TYPE.ipv4 | TYPE.tcp],
    [
      'a damaged payload',
      damaged(tcpPacket(to, PEER_MAC, payload(100)), 80),
      IPCS | L4CS | L4E,
      TYPE.ipv4 | TYPE.tcp,
    ],
    [
      'a damaged IP header',
      damaged(udpPacket(to, PEER_MAC, payload(100)), 22),
      IPCS | IPE,
      TYPE.ipv4 | TYPE.udp,
    ],
    ['not IP', frameOf(to, PEER_MAC, 100), 0, 0],
  ])('%s', (_what, frame, status, type) => {
    expect(received(frame)).toEqual({ status, type });
  });

  it('IPv6, also behind extension headers', () => {
    const from = new Uint8Array(16).fill(0xfd);
    const dest = new Uint8Array(16).fill(0x20);
    const tcp = tcpSegment(payload(77));
    new DataView(tcp.buffer).setUint16(16, internetChecksum(pseudoHeader(from, dest, 6, tcp.length), tcp));
    expect(received(ethernet(to, PEER_MAC, 0x86dd, ipv6(6, tcp, from, dest)))).toEqual({
      status: L4CS,
      type: TYPE.ipv6 | TYPE.tcp,
    });
    // an extension of 16 bytes: the checksum's pseudo-header counts the TCP part alone
    const extended = Uint8Array.from([6, 1, ...new Array<number>(14).fill(0), ...tcp]);
    expect(received(ethernet(to, PEER_MAC, 0x86dd, ipv6(60, extended, from, dest)))).toEqual({
      status: L4CS,
      type: TYPE.ipv6 | TYPE.extensions | TYPE.tcp,
    });
  });

  it('SCTP', () => {
    const sctp = payload(60);
    new DataView(sctp.buffer).setUint32(8, sctpChecksum(sctp, 0, 60), true);
    const frame = ethernet(to, PEER_MAC, 0x0800, ipv4(132, sctp, [1, 2, 3, 4], [5, 6, 7, 8]));
    expect(received(frame)).toEqual({ status: IPCS | L4CS, type: TYPE.ipv4 | TYPE.sctp });
    expect(received(damaged(frame, 60)).status).toBe(IPCS | L4CS | L4E);
  });

  it('leaves fragments and nonsense lengths alone', () => {
    const fragment = udpPacket(to, PEER_MAC, payload(100));
    fragment[20] = 0x20;
    new DataView(fragment.buffer).setUint16(24, 0);
    new DataView(fragment.buffer).setUint16(24, internetChecksum(fragment.subarray(14, 34)));
    expect(received(fragment)).toEqual({ status: IPCS, type: TYPE.ipv4 });
    const tooLong = udpPacket(to, PEER_MAC, payload(100));
    tooLong[16] = 0x7f;
    expect(received(tooLong)).toEqual({ status: 0, type: 0 });
  });

  it('never trips over any bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 46, maxLength: 200 }),
        fc.constantFrom(0x0800, 0x86dd, 0x8100),
        (body, etherType) => {
          expect(() => received(ethernet(to, PEER_MAC, etherType, body))).not.toThrow();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('inserting on transmit', () => {
  /** Sends with a context of these lengths and options; returns what left the card. */
  function sent(frame: Uint8Array, ipLength: number, type: number, options: number): Uint8Array {
    const card = new Card();
    const ring = new TxRing(new Pool(card, 0));
    ring.push([(14 << 9) | ipLength, 0, (2 << 20) | (1 << 29) | type, 0]);
    ring.pushFrame(frame, TXD_EOP_RS, (frame.length << 14) | options);
    ring.ring();
    card.run();
    return card.wire.sent[0]!;
  }
  const IXSM = 1 << 8;
  const TXSM = 1 << 9;
  const IS_IPV4 = 1 << 10;
  /** As a driver leaves it: no IP checksum, the pseudo-header's sum in the layer 4 field. */
  function prepared(frame: Uint8Array, protocol: number, field: number): Uint8Array {
    const copy = frame.slice();
    const view = new DataView(copy.buffer);
    const length = copy.length - 34;
    view.setUint16(24, 0);
    view.setUint16(
      field,
      ~internetChecksum(pseudoHeader(copy.subarray(26, 30), copy.subarray(30, 34), protocol, length)),
    );
    return copy;
  }

  it('IPv4 and UDP', () => {
    const whole = udpPacket(PEER_MAC, macOf(0), payload(333));
    expect(sent(prepared(whole, 17, 40), 20, IS_IPV4, IXSM | TXSM)).toEqual(whole);
  });

  it('IPv4 and TCP', () => {
    const whole = tcpPacket(PEER_MAC, macOf(0), payload(1300));
    expect(sent(prepared(whole, 6, 50), 20, IS_IPV4 | (1 << 11), IXSM | TXSM)).toEqual(whole);
  });

  it('a UDP sum of zero is sent as ffff', () => {
    // find a payload whose checksum is 0 (so 0xffff on the wire)
    for (let value = 0; value < 65536; value++) {
      const body = Uint8Array.of(value >> 8, value & 0xff, ...new Array<number>(20).fill(0));
      const whole = udpPacket(PEER_MAC, macOf(0), body);
      if (whole[40] !== 0xff || whole[41] !== 0xff) continue;
      expect(sent(prepared(whole, 17, 40), 20, IS_IPV4, IXSM | TXSM)).toEqual(whole);
      return;
    }
    throw new Error('no such payload');
  });

  it('SCTP', () => {
    const body = payload(64);
    const frame = ethernet(PEER_MAC, macOf(0), 0x0800, ipv4(132, body, [1, 2, 3, 4], [5, 6, 7, 8]));
    const out = sent(frame, 20, IS_IPV4 | (2 << 11), TXSM);
    expect(new DataView(out.buffer).getUint32(42, true)).toBe(sctpChecksum(body, 0, 64));
  });

  it('what one card sends, another finds right', () => {
    const whole = tcpPacket(macOf(0), macOf(0), payload(999));
    expect(received(sent(prepared(whole, 6, 50), 20, IS_IPV4 | (1 << 11), IXSM | TXSM)).status).toBe(
      IPCS | L4CS,
    );
  });
});
