import { describe, expect, it } from 'vitest';
import { createCable } from '../../../src/hardware/wire/cable.js';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHERTYPE_ARP,
  FrameReader,
  internetChecksum,
  ipNumber,
  ipText,
  macBytes,
  macText,
  PROTOCOL_ICMP,
  readU16,
  readU32,
  writeArp,
  writeU16,
  writeUdpHeaders,
} from '../../../src/hardware/wire/frames.js';
import { TrafficPeer } from '../../../src/measure/load/traffic-peer.js';
import { UdpSender } from '../../../src/measure/load/udp-sender.js';
import { drain, send } from '../../hardware/wire/frames-of.js';
import { manualClock } from '../../hardware/wire/manual-clock.js';

const PEER_MAC = '52:54:00:00:00:01';
const OTHER = { mac: macBytes('52:54:00:00:00:02'), ip: ipNumber('10.0.0.2') };

function build() {
  const clock = manualClock();
  const [inside, outside] = createCable();
  const peer = new TrafficPeer({ wire: inside, clock, mac: PEER_MAC, ip: '10.0.0.1' });
  const exchange = (frame: Uint8Array): Uint8Array[] => {
    send(outside, frame);
    peer.step();
    return drain(outside);
  };
  return { clock, peer, outside, exchange };
}

function arp(operation: number, targetIp: number): Uint8Array {
  const frame = new Uint8Array(60);
  writeArp(frame, 0, {
    operation,
    senderMac: OTHER.mac,
    senderIp: OTHER.ip,
    targetMac: new Uint8Array(6),
    targetIp,
    frameTargetMac: new Uint8Array(6).fill(255),
  });
  return frame;
}

function udp(targetIp: number, targetPort: number, payload: number[]): Uint8Array {
  const frame = new Uint8Array(60);
  const flow = { sourceMac: OTHER.mac, targetMac: macBytes(PEER_MAC), sourceIp: OTHER.ip, sourcePort: 555 };
  writeUdpHeaders(frame, 0, { ...flow, targetIp, targetPort }, payload.length);
  frame.set(payload, 42);
  return frame;
}

describe('traffic peer', () => {
  it('sends to where a station says that it is now', () => {
    const { peer, outside, exchange } = build();
    const sender = new UdpSender(peer, { ip: OTHER.ip, port: 7 }, 555);
    const targetOf = (): string => {
      sender.send(8);
      peer.step();
      return macText(drain(outside).at(-1)!, 0);
    };
    exchange(arp(ARP_REQUEST, peer.ip));
    expect(targetOf()).toBe(macText(OTHER.mac, 0));
    const moved = arp(ARP_REQUEST, OTHER.ip);
    moved[27] = 0x77;
    exchange(moved);
    expect(targetOf()).toBe('52:54:00:00:00:77');
  });

  it('answers ARP for its own address only', () => {
    const { exchange } = build();
    expect(exchange(arp(ARP_REQUEST, ipNumber('10.0.0.9')))).toEqual([]);
    const [reply] = exchange(arp(ARP_REQUEST, ipNumber('10.0.0.1')));
    const reader = new FrameReader();
    expect(reader.parse(reply!, 0, reply!.length)).toBe(true);
    expect(reader.etherType).toBe(ETHERTYPE_ARP);
    expect(macText(reply!, 0)).toBe('52:54:00:00:00:02');
    expect(readU16(reply!, 20)).toBe(ARP_REPLY);
    expect(macText(reply!, 22)).toBe(PEER_MAC);
    expect(ipText(readU32(reply!, 28))).toBe('10.0.0.1');
    expect(ipText(readU32(reply!, 38))).toBe('10.0.0.2');
  });

  it('asks for an address, again only after a while, and remembers the answer', () => {
    const { clock, peer, outside, exchange } = build();
    const ask = (): number => {
      expect(peer.resolve(OTHER.ip)).toBeNull();
      peer.step();
      return drain(outside).length;
    };
    expect([ask(), ask()]).toEqual([1, 0]);
    clock.advanceMs(150);
    expect(ask()).toBe(1);
    exchange(arp(ARP_REPLY, ipNumber('10.0.0.1')));
    expect(macText(peer.resolve(OTHER.ip)!)).toBe('52:54:00:00:00:02');
  });

  it('answers a ping with its own payload and a right checksum', () => {
    const { exchange } = build();
    const frame = udp(ipNumber('10.0.0.1'), 0, []);
    frame[23] = PROTOCOL_ICMP;
    writeU16(frame, 16, 20 + 20);
    frame.set([8, 0, 0, 0, 0x12, 0x34, 0, 1, ...Array.from({ length: 12 }, (_, i) => i)], 34);
    writeU16(frame, 36, internetChecksum(frame, 34, 20));
    writeU16(frame, 24, 0);
    writeU16(frame, 24, internetChecksum(frame, 14, 20));
    const [reply] = exchange(frame);
    expect(reply![34]).toBe(0);
    expect(internetChecksum(reply!, 34, 20)).toBe(0);
    expect(internetChecksum(reply!, 14, 20)).toBe(0);
    expect(macText(reply!, 0)).toBe('52:54:00:00:00:02');
    expect(ipText(readU32(reply!, 30))).toBe('10.0.0.2');
    expect(reply!.subarray(38, 54)).toEqual(frame.subarray(38, 54));
  });

  it('gives datagrams to whom the port is bound, and frames to others to nobody', () => {
    const { peer, exchange } = build();
    const got: number[][] = [];
    peer.bindUdp(1000, (bytes, offset, length, _now, sourcePort) => {
      got.push([sourcePort, ...bytes.subarray(offset, offset + length)]);
    });
    exchange(udp(ipNumber('10.0.0.1'), 1000, [1, 2, 3]));
    exchange(udp(ipNumber('10.0.0.1'), 1001, [4]));
    exchange(udp(ipNumber('10.0.0.7'), 1000, [5]));
    peer.bindUdp(1000, null);
    exchange(udp(ipNumber('10.0.0.1'), 1000, [6]));
    expect(got).toEqual([[555, 1, 2, 3]]);
  });

  it('survives frames whose lengths lie', () => {
    const { peer, exchange } = build();
    let calls = 0;
    peer.bindUdp(1000, () => calls++);
    for (let cut = 0; cut < 60; cut++) exchange(udp(ipNumber('10.0.0.1'), 1000, [1]).slice(0, cut));
    for (const [at, value] of [
      [14, 0x4f],
      [14, 0x41],
      [16, 0xff],
      [17, 3],
      [38, 0xff],
      [39, 2],
    ] as const) {
      const frame = udp(ipNumber('10.0.0.1'), 1000, [1]);
      frame[at] = value;
      exchange(frame);
    }
    // Only the cuts that leave the whole datagram are delivered: 43 to 59 bytes.
    expect(calls).toBe(17);
  });
});
