import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DOMAIN_WORD } from '../../../src/hardware/iommu/handle.js';
import {
  RTTBCNRC_ENABLE,
  TX,
  txQueueOffset,
  VMVIR_ALWAYS,
  VMVIR_NEVER,
  vfgotcHighOffset,
  vfgotcLowOffset,
  vfgptcOffset,
  vfteOffset,
  vmvirOffset,
} from '../../../src/hardware/nic/offsets.js';
import { CONFIG_WORDS, CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RAM_BYTES, TXD_EOP_RS, TxRing } from './engine-harness.js';
import { tagged } from './packets.js';

const EOP = 1 << 24;
const RS = 1 << 27;
const VLE = 1 << 30;
const DATA = (3 << 20) | (1 << 25) | (1 << 29);
const CONTEXT = (2 << 20) | (1 << 29);

function rig(): { card: Card; pool: Pool; ring: TxRing } {
  const card = new Card();
  const pool = new Pool(card, 0);
  return { card, pool, ring: new TxRing(pool) };
}

const frame = (length = 100, seed = 1): Uint8Array => frameOf(PEER_MAC, macOf(0), length, seed);

describe('transmit: descriptors', () => {
  it('gathers a packet from several buffers and reports where RS is', () => {
    const { card, ring } = rig();
    const bytes = frame(1000);
    const slots = [
      ring.push([ring.stash(bytes.subarray(0, 17)), 0, DATA | 17, 1000 << 14]),
      ring.push([ring.stash(bytes.subarray(17, 500)), 0, DATA | RS | 483, 0]),
      ring.push([ring.stash(bytes.subarray(500)), 0, DATA | EOP | RS | 500, 0]),
    ];
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([bytes]);
    expect(slots.map((slot) => ring.isDone(slot))).toEqual([false, true, true]);
    expect(ring.word(1, 0)).toBe(0);
    expect(ring.head).toBe(3);
  });

  it('waits for the end of a packet and keeps the head at its first descriptor', () => {
    const { card, ring } = rig();
    const bytes = frame(300);
    ring.push([ring.stash(bytes.subarray(0, 100)), 0, DATA | 100, 300 << 14]);
    ring.ring();
    expect(card.engine.step()).toBe(0);
    expect(ring.head).toBe(0);
    ring.push([ring.stash(bytes.subarray(100)), 0, DATA | EOP | RS | 200, 0]);
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([bytes]);
    expect(ring.head).toBe(2);
  });

  it('pads a short frame with zeros to 60 bytes, whatever was sent before', () => {
    const { card, ring } = rig();
    ring.pushFrame(frame(200));
    ring.pushFrame(frame(17));
    ring.ring();
    card.run();
    expect(card.wire.sent[1]).toEqual(Uint8Array.from([...frame(17), ...new Array<number>(43).fill(0)]));
  });

  it('waits while the wire is paused, but not for a peer that hangs', () => {
    const { card, ring } = rig();
    const sent = () => card.wire.sent.length;
    const push = () => {
      ring.pushFrame(frame());
      ring.ring();
    };
    card.wire.paused = true;
    push();
    expect(card.engine.step()).toBe(0);
    expect([sent(), ring.head]).toEqual([0, 0]);
    expect(card.engine.nextDueNs()).toBe(card.nowNs + 100e6);
    card.nowNs += 99e6;
    card.wire.paused = false;
    card.run();
    expect([sent(), ring.head, card.engine.nextDueNs()]).toEqual([1, 1, Number.POSITIVE_INFINITY]);
    // the next pause has its own time
    card.wire.paused = true;
    push();
    card.run();
    card.nowNs += 99e6;
    card.run();
    expect(sent()).toBe(1);
    card.nowNs += 1e6;
    card.run();
    expect([sent(), card.engine.nextDueNs()]).toEqual([2, Number.POSITIVE_INFINITY]);
    push();
    card.run();
    expect(sent()).toBe(3);
  });

  it('writes the head back instead, when asked to', () => {
    const { card, pool, ring } = rig();
    card.shared.words[(txQueueOffset(0) + TX.TDWBAL) >> 2] = 0x7_0100 | 1;
    const slot = ring.pushFrame(frame());
    ring.ring();
    card.run();
    expect(pool.memory.view.getInt32(0x7_0100, true)).toBe(1);
    expect(ring.isDone(slot)).toBe(false);
    expect(pool.truthPages()).toEqual([0x70]);
  });

  it('keeps both contexts where others can save them, and they outlive packets', () => {
    const { card, ring } = rig();
    ring.push([(0x123 << 16) | (14 << 9) | 20, 0, CONTEXT, 0]);
    ring.push([(0x456 << 16) | (14 << 9) | 20, 7, CONTEXT | (1 << 11), (1 << 4) | (20 << 8)]);
    ring.pushFrame(frame(100), TXD_EOP_RS | VLE, (100 << 14) | (1 << 4));
    ring.pushFrame(frame(100), TXD_EOP_RS | VLE, 100 << 14);
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([tagged(frame(100), 0x456), tagged(frame(100), 0x123)]);
    expect(card.shared.words[REGION.txContext + 4 + 1]).toBe(7);
    expect(ring.isDone(0)).toBe(false);
  });

  it('counts packets and octets with padding and CRC, in 36 bits', () => {
    const { card, ring } = rig();
    card.shared.words[vfgotcLowOffset(0) >> 2] = -1;
    card.shared.words[vfgotcHighOffset(0) >> 2] = 3;
    ring.pushFrame(frame(20));
    ring.pushFrame(frame(100));
    ring.ring();
    card.run();
    expect(card.get(vfgptcOffset(0))).toBe(2);
    expect(card.get(vfgotcLowOffset(0))).toBe(64 + 104 - 1);
    expect(card.get(vfgotcHighOffset(0))).toBe(4);
  });
});

describe('transmit: VLAN tags of the PF', () => {
  it('the default tag wins over the descriptor', () => {
    const { card, ring } = rig();
    card.set(vmvirOffset(0), VMVIR_ALWAYS | 0x2007);
    ring.pushFrame(frame(100));
    ring.pushFrame(frame(100), TXD_EOP_RS | VLE);
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([tagged(frame(100), 0x2007), tagged(frame(100), 0x2007)]);
  });

  it('never inserting wins too', () => {
    const { card, ring } = rig();
    card.set(vmvirOffset(0), VMVIR_NEVER);
    ring.pushFrame(frame(100), TXD_EOP_RS | VLE);
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([frame(100)]);
  });
});

describe('transmit: gates', () => {
  it('sends nothing without VFTE or bus mastering, and goes on with them', () => {
    const { card, ring } = rig();
    ring.pushFrame(frame());
    ring.ring();
    card.set(vfteOffset(0), 0);
    card.run();
    expect(card.wire.sent).toHaveLength(0);
    card.set(vfteOffset(0), 1);
    const command = REGION.config + 0 * CONFIG_WORDS + 1;
    const saved = card.shared.words[command]!;
    card.shared.words[command] = 0;
    card.run();
    expect(card.wire.sent).toHaveLength(0);
    card.shared.words[command] = saved;
    card.run();
    expect(card.wire.sent).toHaveLength(1);
  });

  it('stops at a disable and begins anew at an enable', () => {
    const { card, ring } = rig();
    ring.pushFrame(frame());
    ring.ring();
    card.run();
    ring.tail = 0;
    ring.setTail(0);
    ring.enable();
    expect(ring.head).toBe(0);
    ring.pushFrame(frame(100, 5));
    ring.ring();
    card.run();
    expect(card.wire.sent).toHaveLength(2);
  });

  it('goes on where the head says after another engine took over', () => {
    const { card, ring, pool } = rig();
    for (let i = 0; i < 5; i++) ring.pushFrame(frame(100, i));
    ring.ring();
    card.engine.detach(0);
    card.run();
    expect(card.wire.sent).toHaveLength(0);
    card.engine.attach(0, pool.handle);
    card.run();
    expect(card.wire.sent).toHaveLength(5);
  });
});

describe('transmit: hostile rings', () => {
  const others = (card: Card): { ring: TxRing; check: () => void } => {
    const ring = new TxRing(new Pool(card, 9));
    ring.pushFrame(frameOf(PEER_MAC, macOf(9), 100, 9));
    ring.ring();
    return { ring, check: () => expect(ring.head).toBe(1) };
  };

  it.each([
    ['a legacy descriptor', [0x20_0000, 0, EOP | RS | 100, 0]],
    ['an unknown type', [0x20_0000, 0, (7 << 20) | (1 << 29) | EOP | RS | 100, 0]],
    ['a buffer outside RAM', [RAM_BYTES - 50, 0, DATA | EOP | RS | 100, 0]],
    ['a buffer above 4 GiB', [0x1000, 5, DATA | EOP | RS | 100, 0]],
    ['a third context', [0, 0, CONTEXT, 2 << 4]],
  ])('%s stops its queue, not the others', (_what, dwords) => {
    const { card, ring } = rig();
    const other = others(card);
    ring.push(dwords);
    ring.pushFrame(frame());
    ring.ring();
    card.run();
    expect(ring.head).toBe(0);
    expect(card.wire.sent).toHaveLength(1);
    other.check();
    // a reset of the queue by its driver makes it work again
    ring.tail = 0;
    ring.setTail(0);
    ring.enable();
    ring.pushFrame(frame());
    ring.ring();
    card.run();
    expect(card.wire.sent).toHaveLength(2);
  });

  it.each([
    ['no bytes', [0x20_0000, 0, DATA | EOP | RS, 0]],
    ['no whole Ethernet header', [0x20_0000, 0, DATA | EOP | RS | 13, 0]],
    ['more bytes than a frame has', [0x20_0000, 0, DATA | EOP | RS | 9729, 0]],
    ['a segmentation without sense', [0x20_0000, 0, DATA | EOP | RS | 100 | 0x8000_0000, 0]],
    ['checksums beyond the frame', [0x20_0000, 0, DATA | EOP | RS | 100, 3 << 8]],
  ])('a packet with %s is dropped and completed', (_what, dwords) => {
    const { card, ring } = rig();
    const context = REGION.txContext;
    card.shared.words[context] = (127 << 9) | 511;
    card.shared.words[context + 2] = 1 << 10;
    const other = others(card);
    ring.push(dwords);
    ring.ring();
    card.run();
    expect(ring.head).toBe(1);
    expect(ring.isDone(0)).toBe(true);
    expect(card.wire.sent).toHaveLength(1);
    other.check();
  });

  it('a packet of more than 40 descriptors stops its queue', () => {
    const { card, ring } = rig();
    for (let i = 0; i < 41; i++) ring.push([0x20_0000, 0, DATA | 10, 0]);
    ring.ring();
    card.run();
    expect(ring.head).toBe(0);
    // stopped for good: even an end of packet does not revive it
    ring.push([0x20_0000, 0, DATA | EOP | 10, 0]);
    ring.ring();
    card.run();
    expect(card.wire.sent).toHaveLength(0);
  });

  it('a packet that grows beyond the stage is dropped', () => {
    const { card, ring } = rig();
    for (let i = 0; i < 6; i++) ring.push([0x20_0000, 0, DATA | 0xffff | (i === 5 ? EOP | RS : 0), 0]);
    ring.ring();
    card.run();
    expect(ring.head).toBe(6);
    expect(card.wire.sent).toHaveLength(0);
  });

  it('a ring full of context descriptors costs a bounded step', () => {
    const { card, ring } = rig();
    for (let i = 0; i < 63; i++) ring.push([0, 0, CONTEXT, 0]);
    ring.ring();
    expect(card.engine.step()).toBeLessThanOrEqual(64);
    card.run();
    expect(ring.head).toBe(63);
  });

  it('random rings and registers never throw, never write outside the guest, never stop another VF', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    // words that look like descriptors go deeper than noise
    const command = fc.oneof(
      word,
      fc
        .tuple(fc.nat(3), fc.nat(2000), word)
        .map(([type, length, noise]) => (type << 20) | length | (1 << 29) | (noise & 0xcb00_0000)),
    );
    const address = fc.oneof(word, fc.nat(RAM_BYTES));
    const descriptor = fc.tuple(address, fc.constantFrom(0, 0, 0, 1), command, word);
    fc.assert(
      fc.property(
        fc.array(descriptor, { minLength: 1, maxLength: 64 }),
        fc.record({
          base: fc.oneof(fc.constant(0x4_0000), word),
          length: fc.oneof(fc.constant(1024), word),
          tail: word,
          wbal: word,
        }),
        (descriptors, registers) => {
          const { card, pool, ring } = rig();
          const other = others(card);
          const block = txQueueOffset(0);
          ring.setTail(0);
          for (const dwords of descriptors) ring.push(dwords);
          const words = card.shared.words;
          words[(block + TX.TDBAL) >> 2] = registers.base;
          words[(block + TX.TDLEN) >> 2] = registers.length;
          words[(block + TX.TDWBAL) >> 2] = registers.wbal;
          ring.enable();
          for (const tail of [descriptors.length & 63, registers.tail]) {
            ring.setTail(tail);
            for (let i = 0; i < 50; i++) card.engine.step();
          }
          other.check();
          expect(pool.isContained).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('transmit: fairness and speed', () => {
  it('serves all queues before the first is empty', () => {
    const card = new Card();
    const rings = [0, 1, 2].map((index) => new TxRing(new Pool(card, index), { count: 256 }));
    for (const ring of rings) {
      for (let i = 0; i < 200; i++) ring.pushFrame(frameOf(PEER_MAC, macOf(ring.pool.index), 60));
      ring.ring();
    }
    card.engine.step();
    for (const ring of rings) expect(ring.head).toBeGreaterThanOrEqual(16);
    card.run();
    expect(card.wire.sent).toHaveLength(600);
  });

  it('keeps a limited queue to its rate over time, and tells when it wants to go on', () => {
    const card = new Card();
    const limited = new TxRing(new Pool(card, 0), { count: 4096 });
    card.shared.words[REGION.control + CONTROL.linkSpeedMbps] = 10_000;
    // a tenth of the link: 1 Gb/s
    card.shared.words[REGION.txRate] = RTTBCNRC_ENABLE | (10 << 14);
    for (let i = 0; i < 4000; i++) limited.push([0x20_0000, 0, DATA | EOP | RS | 1476, 0]);
    limited.ring();
    const startNs = card.nowNs;
    let turns = 0;
    while (card.nowNs < startNs + 10e6 && turns++ < 100_000) {
      if (card.engine.step() === 0) card.nowNs = Math.max(card.nowNs + 1000, card.engine.nextDueNs());
    }
    // 1500 B with overhead: 12 us each; 10 ms and the burst of 1 ms
    expect(card.wire.sent.length).toBeGreaterThanOrEqual(830);
    expect(card.wire.sent.length).toBeLessThanOrEqual(920);
  });

  it('keeps the port to its speed in both directions', () => {
    const card = new Card();
    const pool = new Pool(card, 0);
    card.shared.words[REGION.control + CONTROL.linkSpeedMbps] = 1000;
    for (let i = 0; i < 2000; i++) card.wire.arriving.push(frameOf(PEER_MAC, PEER_MAC, 1476));
    const ring = new TxRing(pool, { count: 2048 });
    for (let i = 0; i < 2000; i++) ring.push([0x20_0000, 0, DATA | EOP | RS | 1476, 0]);
    ring.ring();
    const startNs = card.nowNs;
    while (card.nowNs < startNs + 10e6) if (card.engine.step() === 0) card.nowNs = card.engine.nextDueNs();
    for (const count of [card.wire.sent.length, 2000 - card.wire.arriving.length]) {
      expect(count).toBeGreaterThanOrEqual(830);
      expect(count).toBeLessThanOrEqual(920);
    }
  });

  it('counts the reads of payload', () => {
    const { card, pool, ring } = rig();
    ring.pushFrame(frame(300));
    ring.ring();
    card.run();
    expect(new Int32Array(pool.handle.control)[DOMAIN_WORD.bytesReadLow]).toBe(300);
  });
});
