import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ImageBuild } from '../../src/guest/loaded-image.js';
import { seededRandom } from '../../src/hardware/clock.js';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHERTYPE_ARP,
  FrameReader,
  internetChecksum,
  ipNumber,
  macBytes,
  macText,
  readU16,
  readU32,
  UDP_PAYLOAD_OFFSET,
  type UdpFlow,
  writeArp,
  writeU16,
  writeUdpHeaders,
} from '../../src/hardware/wire/frames.js';
import { payloadIsGood, payloadSeq, writePayload } from '../../src/hardware/wire/test-payload.js';
import { buildForLoneGuest, LoneGuest } from './lone-guest.js';

const GUEST_MAC = '52:54:00:00:00:01';
const GUEST_IP = ipNumber('10.0.0.2');
const PEER_MAC = macBytes('52:54:00:00:01:01');
const PEER_IP = ipNumber('10.0.0.1');
const STATISTICS_PORT = 9001;
const PAGE_BYTES = 4096;
const VFRDBAL = 0x1000;
const VFTDBAL = 0x2000;
const RING_SLOTS = 256;

/** As guest-images/build.mjs left it. */
const COMPONENT = new URL('../../../guest-images/c-echo/build/c-echo.wasm', import.meta.url);
let image: ImageBuild;

beforeAll(async () => {
  image = await buildForLoneGuest(readFileSync(COMPONENT));
});

const flowTo = (targetPort: number, sourcePort = 40_000): UdpFlow => ({
  sourceMac: PEER_MAC,
  targetMac: macBytes(GUEST_MAC),
  sourceIp: PEER_IP,
  targetIp: GUEST_IP,
  sourcePort,
  targetPort,
});

function udpFrame(flow: UdpFlow, seq: number, payloadBytes: number): Uint8Array {
  const frame = new Uint8Array(UDP_PAYLOAD_OFFSET + payloadBytes);
  writeUdpHeaders(frame, 0, flow, payloadBytes);
  writePayload(frame, UDP_PAYLOAD_OFFSET, payloadBytes, seq, seq * 1000);
  return frame;
}

/** One of the 32 counters in the reply to a query on port 9001. */
function counterOf(bytes: Uint8Array, frameOffset: number, index: number): number {
  const at = bytes.byteOffset + frameOffset + UDP_PAYLOAD_OFFSET + index * 8;
  return Number(new DataView(bytes.buffer).getBigUint64(at, true));
}

function arpRequest(): Uint8Array {
  const frame = new Uint8Array(60);
  writeArp(frame, 0, {
    operation: ARP_REQUEST,
    senderMac: PEER_MAC,
    senderIp: PEER_IP,
    targetMac: new Uint8Array(6),
    targetIp: GUEST_IP,
    frameTargetMac: macBytes('ff:ff:ff:ff:ff:ff'),
  });
  return frame;
}

function pingRequest(payloadBytes: number): Uint8Array {
  const frame = udpFrame(flowTo(0), 1, payloadBytes);
  frame[23] = 1;
  writeU16(frame, 24, 0);
  writeU16(frame, 24, internetChecksum(frame, 14, 20));
  frame.set([8, 0, 0, 0, 0x12, 0x34, 0, 7], 34);
  writeU16(frame, 36, internetChecksum(frame, 34, 8 + payloadBytes));
  return frame;
}

/** The other end of the cable: sends single frames, keeps what comes back. */
class Peer {
  readonly guest: LoneGuest;
  readonly received: Uint8Array[] = [];

  constructor(guest: LoneGuest) {
    this.guest = guest;
  }

  send(frame: Uint8Array): void {
    expect(this.guest.peerWire.transmit(frame, 0, frame.length)).toBe(true);
    this.guest.peerWire.flush();
  }

  drain(): void {
    this.guest.peerWire.receive((bytes, offset, length) => {
      this.received.push(bytes.slice(offset, offset + length));
      return true;
    }, 1024);
  }

  /** Runs until the announcement is out; then sends the frame and takes the next answer. */
  ask(frame: Uint8Array): Uint8Array {
    let asked = false;
    this.guest.run(() => {
      this.drain();
      if (this.received.length === 1 && !asked && this.guest.console.includes('link is up')) {
        this.send(frame);
        asked = true;
      }
      return this.received.length === 2;
    });
    return this.received[1]!;
  }
}

const boot = (commandLine = 'ip=10.0.0.2') => new LoneGuest(image, commandLine, { mac: GUEST_MAC });

describe('c-echo', () => {
  test('announces itself with the address that the PF assigned, over API 1.3', () => {
    const guest = boot();
    const peer = new Peer(guest);
    guest.run(() => {
      peer.drain();
      return peer.received.length === 1 && guest.console.includes('\n');
    });
    expect(guest.console).toBe(`c-echo: 10.0.0.2 at ${GUEST_MAC}: link is up\n`);
    const [announcement] = peer.received;
    expect(macText(announcement!, 0)).toBe('ff:ff:ff:ff:ff:ff');
    expect(macText(announcement!, 6)).toBe(GUEST_MAC);
    expect(readU16(announcement!, 12)).toBe(ETHERTYPE_ARP);
    expect(guest.pf.vf(0)).toMatchObject({ apiVersion: 4, clearToSend: true, mac: GUEST_MAC });
  });

  test('takes an address of its own when the PF has none for it', () => {
    const guest = new LoneGuest(image, 'quiet ip=10.0.0.77');
    guest.run(() => guest.console.includes('\n'));
    expect(guest.console).toBe('c-echo: 10.0.0.77 at 02:53:0a:00:00:4d: link is up\n');
    expect(guest.pf.vf(0).mac).toBe('02:53:0a:00:00:4d');
  });

  test('answers ARP', () => {
    const answer = new Peer(boot()).ask(arpRequest());
    expect(macText(answer, 0)).toBe(macText(PEER_MAC));
    expect(readU16(answer, 20)).toBe(ARP_REPLY);
    expect(macText(answer, 22)).toBe(GUEST_MAC);
    expect(readU32(answer, 28)).toBe(GUEST_IP);
    expect(readU32(answer, 38)).toBe(PEER_IP);
  });

  test('answers a ping, whose length may be odd', () => {
    const request = pingRequest(1001);
    const answer = new Peer(boot()).ask(request);
    expect(answer[34]).toBe(0);
    expect(internetChecksum(answer, 14, 20)).toBe(0);
    expect(internetChecksum(answer, 34, answer.length - 34)).toBe(0);
    expect(answer.subarray(38)).toEqual(request.subarray(38));
    expect(readU32(answer, 26)).toBe(GUEST_IP);
  });

  test('does not answer a ping or a datagram with a wrong checksum, or one for another address', () => {
    const spoilt = pingRequest(64);
    spoilt[50]! ^= 1;
    const badUdp = udpFrame(flowTo(7), 1, 64);
    writeU16(badUdp, 40, 0x1234);
    const elsewhere = udpFrame({ ...flowTo(7), targetIp: ipNumber('10.0.0.3') }, 1, 64);
    const guest = boot();
    const peer = new Peer(guest);
    let sent = false;
    guest.run(() => {
      peer.drain();
      if (!sent && guest.console.includes('link is up')) {
        for (const frame of [spoilt, badUdp, elsewhere, udpFrame(flowTo(7), 99, 64)]) peer.send(frame);
        sent = true;
      }
      return peer.received.length === 2;
    });
    expect(payloadSeq(peer.received[1]!, UDP_PAYLOAD_OFFSET)).toBe(99);
  });

  test('echoes thousands of datagrams of every size, in order and whole', () => {
    const total = 6000;
    const guest = boot();
    const random = seededRandom(7);
    const reader = new FrameReader();
    let sent = 0;
    let echoed = 0;
    let window = 0;
    guest.run(() => {
      guest.peerWire.receive((bytes, offset, length) => {
        reader.parse(bytes, offset, length);
        if (reader.etherType === ETHERTYPE_ARP) return true;
        expect(reader.targetPort).toBe(40_000 + (echoed % 3));
        expect(payloadIsGood(bytes, reader.payloadOffset, reader.payloadBytes)).toBe(true);
        expect(payloadSeq(bytes, reader.payloadOffset)).toBe(echoed);
        echoed++;
        return true;
      }, 1024);
      if (!guest.console.includes('link is up')) return false;
      // bursts, so that the guest falls asleep in between and both rings are well filled at times
      if (echoed === sent) window = 1 + (random.nextU32() % 240);
      for (; window > 0 && sent < total; window--, sent++) {
        const frame = udpFrame(flowTo(7, 40_000 + (sent % 3)), sent, 18 + (random.nextU32() % 1455));
        guest.peerWire.transmit(frame, 0, frame.length);
      }
      guest.peerWire.flush();
      return echoed === total;
    });
    expect(echoed).toBe(total);
    expect(guest.faults).toBe(0);
    expect(guest.waits.interrupts).toBeGreaterThan(10);
  });

  test('loses nothing while the PF lets it send slower than it receives', () => {
    const total = 1500;
    const guest = boot();
    guest.pf.setMaxTxRate(0, 20);
    const seqs: number[] = [];
    let sent = 0;
    let busy: number | null = null;
    let asked = false;
    guest.run(() => {
      guest.peerWire.receive((bytes, offset) => {
        if (readU16(bytes, offset + 12) === ETHERTYPE_ARP) return true;
        if (readU16(bytes, offset + 34) === STATISTICS_PORT) busy = counterOf(bytes, offset, 21);
        else seqs.push(payloadSeq(bytes, offset + UDP_PAYLOAD_OFFSET));
        return true;
      }, 1024);
      if (!guest.console.includes('link is up')) return false;
      // one at a time, until more are under way than one ring holds, and fewer than both hold
      if (sent < total && sent - seqs.length < 400) {
        const frame = udpFrame(flowTo(7), sent++, 200);
        guest.peerWire.transmit(frame, 0, frame.length);
      }
      if (!asked && seqs.length === total) {
        asked = true;
        const query = udpFrame(flowTo(STATISTICS_PORT), 0, 18);
        guest.peerWire.transmit(query, 0, query.length);
      }
      guest.peerWire.flush();
      return busy !== null;
    });
    // in order and complete
    expect(seqs.findIndex((seq, i) => seq !== i)).toBe(-1);
    expect(busy).toBeGreaterThan(10);
  });

  test('never reuses a buffer soon, and every buffer straddles two pages', () => {
    const guest = boot();
    const lastUse = new Map<number, number>();
    const known = new Array<number>(RING_SLOTS).fill(0);
    let posted = 0;
    let shortestReuse = Number.POSITIVE_INFINITY;
    let sent = 0;
    const look = () => {
      const ring = guest.register(VFRDBAL);
      for (let slot = 0; slot < RING_SLOTS; slot++) {
        const done = guest.view.getUint32(ring + slot * 16 + 8, true) & 1;
        const buffer = guest.view.getUint32(ring + slot * 16, true);
        if (done !== 0 || buffer === known[slot]) continue;
        known[slot] = buffer;
        expect((buffer / 64) % 2).toBe(1);
        expect(Math.floor((buffer + 2047) / PAGE_BYTES)).toBe(Math.floor(buffer / PAGE_BYTES) + 1);
        shortestReuse = Math.min(shortestReuse, posted - (lastUse.get(buffer) ?? Number.NEGATIVE_INFINITY));
        lastUse.set(buffer, posted++);
      }
    };
    guest.run(() => {
      guest.peerWire.receive(() => true, 1024);
      if (!guest.console.includes('link is up')) return false;
      look();
      const frame = udpFrame(flowTo(7), sent, 1400);
      guest.peerWire.transmit(frame, 0, frame.length);
      guest.peerWire.flush();
      return ++sent === 3500;
    });
    expect(posted).toBeGreaterThan(3000);
    expect(lastUse.size).toBe(1536);
    expect(shortestReuse).toBeGreaterThan(1000);
  });

  test('its rings share a page that neither begins in', () => {
    const guest = boot();
    guest.run(() => guest.console.includes('link is up'));
    const [rx, tx] = [guest.register(VFRDBAL), guest.register(VFTDBAL)];
    expect(rx % PAGE_BYTES).not.toBe(0);
    expect(tx).toBe(rx + RING_SLOTS * 16);
    expect(Math.floor((tx - 1) / PAGE_BYTES)).toBe(Math.floor(tx / PAGE_BYTES));
  });

  test('counts what its sink got, and says so on port 9001', () => {
    const guest = boot();
    const peer = new Peer(guest);
    let step = 0;
    guest.run(() => {
      peer.drain();
      if (step === 0 && guest.console.includes('link is up')) {
        step = 1;
        const corrupt = udpFrame(flowTo(9), 3, 100);
        corrupt[100]! ^= 0x40;
        for (const seq of [0, 1, 4, 2, 5, 5, 1, 2]) peer.send(udpFrame(flowTo(9), seq, 100));
        peer.send(corrupt);
        peer.send(udpFrame(flowTo(STATISTICS_PORT), 0, 18));
        // a first word of 1 sets the counters back
        peer.send(udpFrame(flowTo(STATISTICS_PORT), 1, 18));
      }
      return peer.received.length === 3;
    });
    const reader = new FrameReader();
    const reply = peer.received[1]!;
    expect(reader.parse(reply, 0, reply.length)).toBe(true);
    expect(internetChecksum(reply, 14, 20)).toBe(0);
    expect([reader.sourcePort, reader.payloadBytes]).toEqual([STATISTICS_PORT, 256]);
    const counter = (index: number) => counterOf(reply, 0, index);
    // received, bytes, bad checksum, out of order (2), duplicates (5, 1, 2), lost (3)
    expect([0, 1, 2, 3, 4, 5].map(counter)).toEqual([9, 900, 1, 1, 3, 1]);
    expect([0, 1, 2, 3, 4, 5].map((index) => counterOf(peer.received[2]!, 0, index))).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
    expect(counter(16)).toBe(10);
    expect(counter(22)).toBe(1);
    // the card may be ahead of the driver
    expect(counter(24)).toBeGreaterThanOrEqual(10);
  });

  test('opens the VF again after the PF took it away', () => {
    const guest = boot();
    const peer = new Peer(guest);
    let step = 0;
    guest.run(() => {
      peer.drain();
      const upCount = guest.console.split('link is up').length - 1;
      if (step === 0 && upCount === 1) {
        step = 1;
        guest.pf.setLink(0, 'auto');
        guest.mailboxes.ping(0);
      } else if (step === 1 && upCount === 2) {
        step = 2;
        peer.send(udpFrame(flowTo(7), 5, 600));
      }
      return peer.received.some((frame) => readU16(frame, 12) !== ETHERTYPE_ARP);
    });
    expect(guest.console).toContain('the PF wants a reset');
    expect(payloadIsGood(peer.received.at(-1)!, UDP_PAYLOAD_OFFSET, 600)).toBe(true);
    expect(guest.faults).toBe(0);
  });

  test('ends with a word on the console when it has no address or no VF', () => {
    const never = () => false;
    const homeless = new LoneGuest(image, 'ip=10.0.0.256');
    expect(homeless.run(never)).toBe(2);
    expect(homeless.console).toContain('ip=A.B.C.D');
    const bare = new LoneGuest(image, 'ip=10.0.0.2', { hasVf: false });
    expect(bare.run(never)).toBe(1);
    expect(bare.console).toContain('no 82599 VF');
  });
});
