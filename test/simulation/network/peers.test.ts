/** The guest's peers: what they send, and what they say of right, doubled, lost and wrong answers. */
import { describe, expect, it } from 'vitest';
import {
  ETHERTYPE_ARP,
  FrameReader,
  ipNumber,
  macBytes,
  PROTOCOL_UDP,
  readU32,
  UDP_PAYLOAD_OFFSET,
  type UdpFlow,
  writeArp,
  writeU16,
  writeU32,
  writeUdpHeaders,
} from '../../../src/hardware/wire/frames.js';
import { writePayload } from '../../../src/hardware/wire/test-payload.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import type { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import { checkFrame, STREAM, writeNumberedFrame } from '../../../src/simulation/guests/frame-format.js';
import { Ether } from '../../../src/simulation/network/ether.js';
import { EchoPeer } from '../../../src/simulation/network/peers/echo-peer.js';
import { FloodPeer } from '../../../src/simulation/network/peers/flood-peer.js';
import { KvPeer } from '../../../src/simulation/network/peers/kv-peer.js';
import { SinkPeer } from '../../../src/simulation/network/peers/sink-peer.js';
import { makeScheduler } from './link-rig.js';

const GUEST_MAC = '52:54:00:00:00:01';
const PEER_MAC = '52:54:00:00:00:99';
const GUEST_IP = '10.0.0.2';
const PEER_IP = '10.0.0.1';

interface Rig {
  readonly scheduler: Scheduler;
  readonly ether: Ether;
  readonly guest: Wire;
  readonly peer: Wire;
  readonly choices: Choices;
}

function makeRig(seed: number): Rig {
  const scheduler = makeScheduler(seed);
  const choices = new Choices(seed);
  const ether = new Ether(scheduler, choices.fork('ether'));
  return { scheduler, ether, choices, guest: ether.port('guest'), peer: ether.port('peer') };
}

/** Runs for so long, whatever happens. */
async function pass(scheduler: Scheduler, ms: number): Promise<void> {
  let isOver = false;
  scheduler.at(ms * 1e6, 'over', () => {
    isOver = true;
  });
  await scheduler.run(() => isOver);
}

/** Each frame goes to `take`; what that returns goes back. */
function answerWith(wire: Wire, take: (frame: Uint8Array) => Uint8Array | null): void {
  wire.onWake = () => {
    wire.receive((bytes, offset, length) => {
      const answer = take(bytes.slice(offset, offset + length));
      if (answer !== null) wire.transmit(answer, 0, answer.length);
      return true;
    }, 1000);
  };
}

const reader = new FrameReader();

/** A guest on the image library's port 7: answers ARP, sends datagrams back. */
function echoGuest(wire: Wire, change: (frame: Uint8Array) => Uint8Array | null): void {
  answerWith(wire, (frame) => {
    if (!reader.parse(frame, 0, frame.length)) return null;
    if (reader.etherType === ETHERTYPE_ARP) return arpReply(frame);
    if (reader.protocol !== PROTOCOL_UDP) return null;
    const { sourceIp, targetIp, sourcePort, targetPort } = reader;
    frame.copyWithin(0, 6, 12);
    frame.set(macBytes(GUEST_MAC), 6);
    writeU32(frame, 26, targetIp);
    writeU32(frame, 30, sourceIp);
    writeU16(frame, 34, targetPort);
    writeU16(frame, 36, sourcePort);
    return change(frame);
  });
}

function arpReply(request: Uint8Array): Uint8Array {
  const peerMac = request.slice(22, 28);
  const reply = new Uint8Array(60);
  writeArp(reply, 0, {
    operation: 2,
    senderMac: macBytes(GUEST_MAC),
    senderIp: ipNumber(GUEST_IP),
    targetMac: peerMac,
    targetIp: readU32(request, 28),
    frameTargetMac: peerMac,
  });
  return reply;
}

const MIX = { framesPerSecond: 100_000, minBytes: 60, maxBytes: 1514, burst: 8 };

describe('the flood', () => {
  const make = (rig: Rig): FloodPeer =>
    new FloodPeer({
      scheduler: rig.scheduler,
      choices: rig.choices.fork('flood'),
      wire: rig.peer,
      mac: PEER_MAC,
      target: GUEST_MAC,
      traffic: MIX,
    });

  it('sends whole numbered frames of all sizes and flows at its rate', async () => {
    const rig = makeRig(1);
    const peer = make(rig);
    const verdicts: string[] = [];
    const streams = new Map<number, number[]>();
    const sizes = new Set<number>();
    answerWith(rig.guest, (frame) => {
      const verdict = checkFrame(frame, frame.length, true);
      verdicts.push(verdict.kind);
      sizes.add(frame.length);
      if (verdict.kind === 'whole') {
        streams.set(verdict.stream, [...(streams.get(verdict.stream) ?? []), verdict.number]);
      }
      return null;
    });
    peer.start();
    await pass(rig.scheduler, 10);
    peer.stop();
    await pass(rig.scheduler, 1);
    expect(peer.sent).toBeGreaterThan(600);
    expect(peer.sent).toBeLessThan(1400);
    expect(verdicts.length).toBe(peer.sent);
    expect(new Set(verdicts)).toEqual(new Set(['whole']));
    expect(sizes.size).toBeGreaterThan(300);
    expect([...streams.keys()].sort()).toEqual([0, 1, 2, 3]);
    for (const numbers of streams.values()) expect(numbers).toEqual([...numbers.keys()]);
  });

  it('judges the guest’s own frames: whole, twice, damaged', async () => {
    const rig = makeRig(2);
    const peer = make(rig);
    const send = (number: number, damage = -1): void => {
      const frame = new Uint8Array(300);
      writeNumberedFrame(frame, {
        shape: 'udp',
        target: macBytes(PEER_MAC),
        source: macBytes(GUEST_MAC),
        stream: STREAM.guest,
        number,
        bytes: 300,
      });
      if (damage >= 0) frame[damage]! ^= 4;
      rig.guest.transmit(frame, 0, 300);
    };
    for (const number of [0, 1, 2, 2, 5, 4]) {
      send(number);
      await pass(rig.scheduler, 0.1);
    }
    expect(peer.complaints()).toEqual([]);
    expect(peer.counts()).toMatchObject({ received: 5, duplicate: 1, corrupt: 0 });
    send(6, 200);
    await pass(rig.scheduler, 1);
    expect(peer.complaints()).toEqual([
      'a frame of 300 bytes from the guest (stream 40000000, number 6) is damaged at byte 200',
    ]);
    expect(peer.answered).toBe(5);
    expect(peer.counts().longestGapNs).toBeGreaterThan(0);
    await peer.close();
    await rig.guest.close();
    expect(rig.ether.openEnds).toBe(0);
  });

  it('is the same for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const rig = makeRig(seed);
      const peer = make(rig);
      rig.ether.setFaults('guest', 'in', { loss: 0.1, reorder: 0.1, duplicate: 0.1 });
      answerWith(rig.guest, () => null);
      peer.start();
      await pass(rig.scheduler, 2);
      return rig.scheduler.log.hash;
    };
    expect(await run(7)).toBe(await run(7));
    expect(await run(7)).not.toBe(await run(8));
  });
});

describe('the echo peer', () => {
  const make = (rig: Rig): EchoPeer =>
    new EchoPeer({
      scheduler: rig.scheduler,
      choices: rig.choices.fork('echo'),
      wire: rig.peer,
      mac: PEER_MAC,
      ip: PEER_IP,
      targetIp: GUEST_IP,
      traffic: MIX,
    });

  it('finds the guest by ARP and has every request answered', async () => {
    const rig = makeRig(3);
    const peer = make(rig);
    echoGuest(rig.guest, (frame) => frame);
    peer.start();
    await pass(rig.scheduler, 4);
    peer.stop();
    await pass(rig.scheduler, 1);
    expect(peer.sent).toBeGreaterThan(100);
    expect(peer.counts()).toMatchObject({ received: peer.sent, corrupt: 0, duplicate: 0 });
    expect(peer.answered).toBe(peer.sent);
    expect(peer.complaints()).toEqual([]);
  });

  it('does not mind what is lost or doubled, and minds what is wrong', async () => {
    const rig = makeRig(4);
    const peer = make(rig);
    let number = 0;
    let damage = false;
    echoGuest(rig.guest, (frame) => {
      if (damage && number++ === 20) frame[UDP_PAYLOAD_OFFSET + 9]! ^= 1;
      return frame;
    });
    rig.ether.setFaults('peer', 'in', { loss: 0.2, duplicate: 0.2, reorder: 0.2 });
    peer.start();
    await pass(rig.scheduler, 5);
    expect(peer.complaints()).toEqual([]);
    expect(peer.counts().duplicate).toBeGreaterThan(5);
    expect(peer.counts().received).toBeLessThan(peer.sent);
    rig.ether.setFaults('peer', 'in', { loss: 0, duplicate: 0, reorder: 0 });
    damage = true;
    await pass(rig.scheduler, 5);
    expect(peer.complaints()).toEqual(['1 echo replies are not what was sent']);
  });

  it('sees a wrong checksum in a header', async () => {
    const rig = makeRig(5);
    const peer = make(rig);
    let number = 0;
    echoGuest(rig.guest, (frame) => {
      if (number++ === 20) frame[24]! ^= 1;
      return frame;
    });
    peer.start();
    await pass(rig.scheduler, 5);
    expect(peer.complaints()).toHaveLength(1);
    expect(peer.complaints()[0]).toContain('its IPv4 checksum is wrong');
  });
});

describe('the sink', () => {
  it('checks payload and sequence of what the guest sends', async () => {
    const rig = makeRig(6);
    const peer = new SinkPeer({
      scheduler: rig.scheduler,
      choices: rig.choices.fork('sink'),
      wire: rig.peer,
      mac: PEER_MAC,
      ip: PEER_IP,
      targetIp: GUEST_IP,
    });
    peer.start();
    const flow: UdpFlow = {
      sourceMac: macBytes(GUEST_MAC),
      targetMac: macBytes(PEER_MAC),
      sourceIp: ipNumber(GUEST_IP),
      targetIp: ipNumber(PEER_IP),
      sourcePort: 20_000,
      targetPort: 9,
    };
    const send = (seq: number, damage = false): void => {
      const frame = new Uint8Array(UDP_PAYLOAD_OFFSET + 100);
      writeUdpHeaders(frame, 0, flow, 100);
      writePayload(frame, UDP_PAYLOAD_OFFSET, 100, seq, 0);
      if (damage) frame[UDP_PAYLOAD_OFFSET + 50]! ^= 1;
      rig.guest.transmit(frame, 0, frame.length);
    };
    for (const seq of [0, 1, 1, 3]) send(seq);
    await pass(rig.scheduler, 1);
    expect(peer.complaints()).toEqual([]);
    expect(peer.counts()).toMatchObject({ received: 3, duplicate: 1, corrupt: 0 });
    send(4, true);
    await pass(rig.scheduler, 1);
    expect(peer.complaints()).toEqual(['1 packets of the guest carry a damaged payload']);
    await peer.close();
  });
});

describe('the store client', () => {
  /** A store that remembers; `forget` makes it answer as if a key were not there. */
  function storeGuest(wire: Wire, forget: () => boolean): void {
    const values = new Map<string, { flags: string; data: Uint8Array }>();
    const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, 'latin1'));
    const answer = (request: Uint8Array): Uint8Array => {
      const line = Buffer.from(request).toString('latin1').split('\r\n')[0]!;
      const [command, key, flags, , bytes] = line.split(' ');
      if (command === 'set') {
        const data = request.slice(line.length + 2, line.length + 2 + Number(bytes));
        values.set(key!, { flags: flags!, data });
        return text('STORED\r\n');
      }
      if (command === 'delete') return text(values.delete(key!) ? 'DELETED\r\n' : 'NOT_FOUND\r\n');
      const value = forget() ? undefined : values.get(key!);
      if (value === undefined) return text('END\r\n');
      const head = text(`VALUE ${key} ${value.flags} ${value.data.length}\r\n`);
      return Buffer.concat([head, value.data, text('\r\nEND\r\n')]);
    };
    echoGuest(wire, (frame) => {
      reader.parse(frame, 0, frame.length);
      const payload = frame.subarray(reader.payloadOffset, reader.payloadOffset + reader.payloadBytes);
      const answered = answer(payload.subarray(8));
      const reply = new Uint8Array(Math.max(60, UDP_PAYLOAD_OFFSET + 8 + answered.length));
      writeUdpHeaders(
        reply,
        0,
        {
          sourceMac: frame.slice(6, 12),
          targetMac: frame.slice(0, 6),
          sourceIp: reader.sourceIp,
          targetIp: reader.targetIp,
          sourcePort: reader.sourcePort,
          targetPort: reader.targetPort,
        },
        8 + answered.length,
      );
      reply.set(payload.subarray(0, 8), UDP_PAYLOAD_OFFSET);
      reply.set(answered, UDP_PAYLOAD_OFFSET + 8);
      return reply;
    });
  }

  it('fills, mixes and verifies, and says when a value is gone', async () => {
    const rig = makeRig(9);
    const peer = new KvPeer({
      scheduler: rig.scheduler,
      choices: rig.choices.fork('kv'),
      wire: rig.peer,
      mac: PEER_MAC,
      ip: PEER_IP,
      targetIp: GUEST_IP,
      traffic: MIX,
    });
    let forgets = false;
    storeGuest(rig.guest, () => forgets);
    rig.ether.setFaults('peer', 'in', { loss: 0.05 });
    peer.start();
    await pass(rig.scheduler, 40);
    expect(peer.complaints()).toEqual([]);
    expect(peer.counts().received).toBeGreaterThan(200);
    peer.verifyAll();
    await rig.scheduler.run(() => peer.isIdle);
    expect(peer.complaints()).toEqual([]);
    forgets = true;
    peer.verifyAll();
    await rig.scheduler.run(() => peer.isIdle);
    expect(peer.complaints()[0]).toMatch(/^\d+ values of the store are not what was stored$/);
    await peer.close();
  });
});
