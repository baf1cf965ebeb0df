import { describe, expect, it } from 'vitest';
import { DOMAIN_WORD } from '../../../src/hardware/iommu/handle.js';
import {
  MAXFRS,
  MPC,
  MRQC,
  MRQC_VMDQ_CLASSES,
  psrtypeOffset,
  RTRUP2TC,
  RX,
  RXDCTL_VME,
  retaOffset,
  rssKeyOffset,
  rxQueueOffset,
  SRRCTL_DROP_EN,
  VMOLR_MPE,
  vfgorcHighOffset,
  vfgorcLowOffset,
  vfgprcOffset,
  vfmprcOffset,
  vmolrOffset,
} from '../../../src/hardware/nic/offsets.js';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RAM_BYTES, RxRing } from './engine-harness.js';
import { tagged, udpPacket } from './packets.js';

const ONE_BUFFER = 1 << 25;
const SPLIT = 2 << 25;
const SPLIT_ALWAYS = 5 << 25;
const DD = 1;
const EOP = 2;

function rig(options: ConstructorParameters<typeof RxRing>[1] = {}): {
  card: Card;
  pool: Pool;
  ring: RxRing;
} {
  const card = new Card();
  const pool = new Pool(card, 0);
  return { card, pool, ring: new RxRing(pool, options) };
}

describe('receive: descriptors', () => {
  it('overwrites all of the descriptor: the address is gone', () => {
    const { card, ring } = rig();
    ring.post(2);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 64));
    card.run();
    expect([0, 1, 2, 3].map((dword) => ring.word(0, dword))).toEqual([0, 0, DD | EOP, 64]);
    expect(ring.word(1, 0)).toBe(ring.bufferOf(1));
  });

  it('wraps, and keeps one slot between tail and head', () => {
    const { card, ring } = rig({ count: 8 });
    for (let lap = 0; lap < 5; lap++) {
      ring.post(7);
      for (let i = 0; i < 8; i++) card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 60, lap * 8 + i));
      card.run();
      expect(ring.head).toBe(ring.tail);
      expect(card.wire.arriving).toHaveLength(1);
      card.wire.arriving.length = 0;
    }
  });

  it('writes nothing behind the frame', () => {
    const { card, pool, ring } = rig();
    pool.memory.u8.fill(0xee, ring.buffers, ring.buffers + 4096);
    ring.post(1);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 61));
    card.run();
    expect(pool.memory.u8[ring.buffers + 60]).not.toBe(0xee);
    expect(pool.memory.u8[ring.buffers + 61]).toBe(0xee);
  });

  it('takes buffers at any address and marks both pages of one that straddles', () => {
    for (const length of [60, 383, 384, 385, 1500]) {
      const { card, pool, ring } = rig();
      const at = 0x12_3ff9;
      ring.write(0, [at, 0, 0, 0]);
      ring.setTail(1);
      const frame = frameOf(macOf(0), PEER_MAC, length);
      card.wire.arriving.push(frame);
      card.run();
      expect(pool.memory.u8.slice(at, at + length)).toEqual(frame);
      expect(pool.truthPages()).toEqual([ring.base >> 12, 0x123, 0x124]);
    }
  });

  it('publishes tags whose bits make a NaN', () => {
    const { card, ring } = rig({ rxdctl: RXDCTL_VME });
    ring.post(4);
    card.wire.arriving.push(
      tagged(frameOf(macOf(0), PEER_MAC, 60), 0xffff),
      tagged(frameOf(macOf(0), PEER_MAC, 60), 0x7ff5),
    );
    card.run();
    expect(ring.word(0, 3)).toBe((0xffff << 16) | 60);
    expect(ring.word(1, 3)).toBe((0x7ff5 << 16) | 60);
    expect(ring.status(0)).toBe(DD | EOP | 8);
  });

  it('strips the tag only where VME is set', () => {
    const { card, pool, ring } = rig({ rxdctl: RXDCTL_VME });
    const plain = new RxRing(new Pool(card, 1));
    ring.post(1);
    plain.post(1);
    const inner = frameOf(macOf(0), PEER_MAC, 200);
    const other = tagged(frameOf(macOf(1), PEER_MAC, 200), 5);
    card.wire.arriving.push(tagged(inner, 0x6005), other);
    card.run();
    expect(ring.payload(0)).toEqual(inner);
    expect(ring.word(0, 3) >>> 16).toBe(0x6005);
    expect(plain.payload(0)).toEqual(other);
    expect(plain.status(0) & 8).toBe(0);
    expect(pool.truthPages()).toHaveLength(2);
  });
});

describe('receive: several descriptors', () => {
  it('spreads a large frame, with everything that matters in the last descriptor', () => {
    const { card, ring } = rig({ srrctl: ONE_BUFFER | 1 });
    card.set(MAXFRS, 9728 << 16);
    ring.post(10);
    const frame = frameOf(macOf(0), PEER_MAC, 2500);
    card.wire.arriving.push(frame);
    card.run();
    expect([0, 1, 2].map((slot) => ring.status(slot))).toEqual([DD, DD, DD | EOP]);
    expect([0, 1, 2].map((slot) => ring.word(slot, 3))).toEqual([1024, 1024, 452]);
    const joined = Buffer.concat([ring.payload(0), ring.payload(1), ring.payload(2)]);
    expect(new Uint8Array(joined)).toEqual(frame);
    expect(ring.head).toBe(3);
  });

  it('writes nothing until all of a frame fits', () => {
    const { card, pool, ring } = rig({ srrctl: ONE_BUFFER | 1 });
    card.set(MAXFRS, 9728 << 16);
    ring.post(2);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 2500));
    card.run();
    expect(pool.truthPages()).toEqual([]);
    expect(ring.head).toBe(0);
    ring.post(1);
    card.run();
    expect(ring.head).toBe(3);
  });

  it('drops a frame that the ring could never hold', () => {
    const { card, ring } = rig({ srrctl: ONE_BUFFER | 1, count: 8 });
    card.set(MAXFRS, 9728 << 16);
    ring.post(7);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 9000), frameOf(macOf(0), PEER_MAC, 60));
    card.run();
    expect(ring.head).toBe(1);
    expect(card.get(MPC)).toBe(1);
  });
});

describe('receive: no descriptor', () => {
  it('leaves the frame on the wire', () => {
    const { card, ring } = rig();
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC));
    expect(card.engine.step()).toBe(0);
    expect(card.wire.arriving).toHaveLength(1);
    ring.post(1);
    card.run();
    expect(card.wire.arriving).toHaveLength(0);
    expect(ring.head).toBe(1);
  });

  it.each(['SRRCTL', 'QDE'])('drops it with drop enable from %s', (by) => {
    const { card } = rig({ srrctl: ONE_BUFFER | 2 | (by === 'SRRCTL' ? SRRCTL_DROP_EN : 0) });
    if (by === 'QDE') card.shared.words[REGION.control + CONTROL.queueDrop] = 1;
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC));
    card.run();
    expect(card.wire.arriving).toHaveLength(0);
    expect(card.get(MPC)).toBe(1);
  });

  it.each([
    ['a length of zero', RX.RDLEN, 0],
    ['a base outside RAM', RX.RDBAL, RAM_BYTES - 128],
    ['a base above 4 GiB', RX.RDBAH, 7],
    ['a buffer size of zero', RX.SRRCTL, ONE_BUFFER],
  ])('a ring with %s takes nothing, writes nothing and stops nobody else', (_what, register, value) => {
    const { card, pool, ring } = rig();
    const sane = new RxRing(new Pool(card, 5));
    ring.disable();
    card.engine.step();
    card.shared.words[(rxQueueOffset(0) + register) >> 2] = value;
    ring.enable();
    ring.setTail(5);
    sane.post(4);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC), frameOf(macOf(5), PEER_MAC));
    card.run();
    expect(pool.truthPages()).toEqual([]);
    expect(sane.head).toBe(1);
  });

  it.each([64, 0xffff, -1])('a tail of %d hands nothing over and stops nobody else', (tail) => {
    const { card, pool, ring } = rig();
    const sane = new RxRing(new Pool(card, 5));
    ring.setTail(tail);
    sane.post(4);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC), frameOf(macOf(5), PEER_MAC));
    card.run();
    expect(pool.truthPages()).toEqual([]);
    expect(sane.head).toBe(1);
  });

  it('counts a fault and goes on where the buffer is not the guest its own', () => {
    const { card, pool, ring } = rig();
    ring.write(0, [RAM_BYTES - 10, 0, 0, 0]);
    ring.write(1, [0x1000, 1, 0, 0]);
    ring.write(2, [ring.bufferOf(2), 0, 0, 0]);
    ring.setTail(3);
    for (let i = 0; i < 3; i++) card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 60, i));
    card.run();
    expect(new Int32Array(pool.handle.control)[DOMAIN_WORD.writeFaults]).toBe(2);
    expect(ring.payload(2)).toEqual(frameOf(macOf(0), PEER_MAC, 60, 2));
    expect(pool.isContained).toBe(true);
  });
});

describe('receive: limits and padding', () => {
  it('drops what is longer than MAXFRS, tag aside', () => {
    const { card, ring } = rig();
    ring.post(8);
    for (const length of [1514, 1515]) card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, length));
    card.wire.arriving.push(tagged(frameOf(macOf(0), PEER_MAC, 1514), 1));
    card.run();
    expect([0, 1].map((slot) => ring.word(slot, 3))).toEqual([1514, 1518]);
    expect(ring.head).toBe(2);
  });

  it('pads what a datagram wire brings too short', () => {
    const { card, pool, ring } = rig();
    pool.memory.u8.fill(0xee, ring.buffers, ring.buffers + 2048);
    ring.post(2);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 42), new Uint8Array(13));
    card.run();
    expect(ring.head).toBe(1);
    expect([...ring.payload(0).subarray(42)]).toEqual(new Array(18).fill(0));
  });
});

describe('receive: header split', () => {
  const TCP_UDP_IP = 0x1330;
  const header = (ring: RxRing, slot: number): number => ring.bufferOf(slot) + 1024;

  function splitRig(type: number, psrtype: number): { card: Card; pool: Pool; ring: RxRing } {
    const made = rig({ srrctl: type | (2 << 8) | 1 });
    made.card.set(psrtypeOffset(0), psrtype);
    for (let slot = 0; slot < 4; slot++)
      made.ring.write(slot, [made.ring.bufferOf(slot), 0, header(made.ring, slot), 0]);
    made.ring.setTail(4);
    return made;
  }

  it('puts known headers into the header buffer', () => {
    const { card, pool, ring } = splitRig(SPLIT, TCP_UDP_IP);
    const frame = udpPacket(macOf(0), PEER_MAC, new Uint8Array(100).fill(7));
    card.wire.arriving.push(frame);
    card.run();
    expect(pool.memory.u8.slice(header(ring, 0), header(ring, 0) + 42)).toEqual(frame.slice(0, 42));
    expect(ring.payload(0)).toEqual(frame.slice(42));
    expect(ring.word(0, 0) >>> 21).toBe(0x400 | 42);
    expect(ring.head).toBe(1);
  });

  it('leaves other frames whole, unless told to split always', () => {
    for (const [type, inHeader] of [
      [SPLIT, 0],
      [SPLIT_ALWAYS, 128],
    ] as const) {
      const { card, ring } = splitRig(type, 0);
      card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 200));
      card.run();
      expect(ring.word(0, 3)).toBe(200 - inHeader);
      expect(ring.word(0, 0) >>> 21).toBe(inHeader === 0 ? 0 : 0x400 | inHeader);
    }
  });

  it('says so when a header does not fit', () => {
    const card = new Card();
    const ring = new RxRing(new Pool(card, 0), { srrctl: SPLIT | (0 << 8) | 1 });
    card.set(psrtypeOffset(0), TCP_UDP_IP);
    ring.post(1);
    card.wire.arriving.push(udpPacket(macOf(0), PEER_MAC, new Uint8Array(50)));
    card.run();
    expect(ring.status(0) & (1 << 23)).not.toBe(0);
    expect(ring.word(0, 3)).toBe(92);
  });
});

describe('receive: RSS', () => {
  // the verification suite's key and packets
  const KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa'
    .match(/../g)!
    .map((hex) => Number.parseInt(hex, 16));
  const withRss = (queueBits: number): { card: Card; rings: RxRing[] } => {
    const card = new Card();
    const pool = new Pool(card, 0);
    const rings = [new RxRing(pool), new RxRing(pool, { queue: 1 })];
    for (const ring of rings) ring.post(32);
    card.set(MRQC, 0xb | (1 << 16) | (1 << 17) | (1 << 22));
    for (let i = 0; i < 10; i++) {
      card.set(
        rssKeyOffset(i),
        KEY[4 * i]! | (KEY[4 * i + 1]! << 8) | (KEY[4 * i + 2]! << 16) | (KEY[4 * i + 3]! << 24),
      );
    }
    for (let i = 0; i < 32; i++) card.set(retaOffset(i), 0x01000100);
    card.set(psrtypeOffset(0), queueBits << 29);
    return { card, rings };
  };
  const SUITE = [
    { source: [66, 9, 149, 187], destination: [161, 142, 100, 80], ports: [2794, 1766], hash: 0x51ccc178 },
    { source: [199, 92, 111, 2], destination: [65, 69, 140, 83], ports: [14230, 4739], hash: 0xc626b0ea },
  ] as const;

  it('hashes as the published vectors say, and spreads over two queues', () => {
    const { card, rings } = withRss(1);
    for (const { source, destination, ports } of SUITE) {
      const frame = udpPacket(macOf(0), PEER_MAC, new Uint8Array(40), { source, destination, ports });
      card.wire.arriving.push(frame);
    }
    card.run();
    const seen = rings.flatMap((ring) =>
      Array.from({ length: ring.head }, (_, slot) => ring.word(slot, 1) >>> 0),
    );
    expect(seen.sort()).toEqual(SUITE.map((row) => row.hash).sort());
    for (const [queue, ring] of rings.entries()) {
      for (let slot = 0; slot < ring.head; slot++) {
        expect(ring.word(slot, 1) & 1).toBe(queue);
        expect(ring.word(slot, 0) & 0xf).toBe(7);
      }
    }
  });

  it('uses queue 0 alone while the pool asks for one queue', () => {
    const { card, rings } = withRss(0);
    for (let port = 0; port < 8; port++) {
      card.wire.arriving.push(udpPacket(macOf(0), PEER_MAC, new Uint8Array(40), { ports: [port, 9] }));
    }
    card.run();
    expect(rings.map((ring) => ring.head)).toEqual([8, 0]);
  });
});

describe('receive: traffic classes', () => {
  it('takes the queue from the priority in the tag; what has none is of the first', () => {
    const card = new Card();
    const pool = new Pool(card, 0);
    const rings = [new RxRing(pool), new RxRing(pool, { queue: 1 })];
    for (const ring of rings) ring.post(32);
    card.set(MRQC, MRQC_VMDQ_CLASSES);
    // priorities 4, 5 and 7 are of class 1, 6 of class 2, which shares its queue
    card.set(RTRUP2TC, (1 << 12) | (1 << 15) | (2 << 18) | (1 << 21));
    card.set(psrtypeOffset(0), 1 << 29);
    const frame = udpPacket(macOf(0), PEER_MAC, new Uint8Array(40));
    card.wire.arriving.push(frame);
    for (let priority = 0; priority < 8; priority++) card.wire.arriving.push(tagged(frame, priority << 13));
    card.run();
    expect(rings.map((ring) => ring.head)).toEqual([5, 4]);
    // nothing was hashed
    expect(rings[1]!.word(0, 1)).toBe(0);
  });
});

describe('receive: statistics', () => {
  it('counts packets, octets with CRC in 36 bits, and multicasts', () => {
    const { card, ring } = rig();
    card.setBit(vmolrOffset(0), VMOLR_MPE);
    card.shared.words[vfgorcLowOffset(0) >> 2] = -50;
    card.shared.words[vfgorcHighOffset(0) >> 2] = 0xf;
    card.shared.words[vfgprcOffset(0) >> 2] = -1;
    ring.post(4);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 60));
    card.wire.arriving.push(frameOf(Uint8Array.of(1, 0, 0x5e, 0, 0, 1), PEER_MAC, 100));
    card.wire.arriving.push(frameOf(new Uint8Array(6).fill(0xff), PEER_MAC, 60));
    card.run();
    expect(card.get(vfgprcOffset(0))).toBe(2);
    expect(card.get(vfgorcLowOffset(0)) >>> 0).toBe(64 + 104 + 64 - 50);
    expect(card.get(vfgorcHighOffset(0))).toBe(0);
    expect(card.get(vfmprcOffset(0))).toBe(1);
  });
});
