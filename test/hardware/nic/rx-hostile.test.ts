/** Receive rings that nobody would program in good faith, and what must hold for any ring. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DOMAIN_WORD } from '../../../src/hardware/iommu/handle.js';
import { MAXFRS, psrtypeOffset, RX, SRRCTL_DROP_EN } from '../../../src/hardware/nic/offsets.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RAM_BYTES, RxRing } from './engine-harness.js';
import { udpPacket } from './packets.js';

const ONE_BUFFER = 1 << 25;
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

describe('receive: hostile rings', () => {
  it('a ring whose buffers are the ring itself harms its owner alone', () => {
    const { card, pool, ring } = rig({ count: 64 });
    const sane = new RxRing(new Pool(card, 5));
    sane.post(40);
    for (let slot = 0; slot < 64; slot++) ring.write(slot, [ring.base + slot * 16, 0, 0, 0]);
    ring.setTail(63);
    for (let i = 0; i < 40; i++) {
      const noise = frameOf(macOf(0), PEER_MAC, 60 + i * 30, i);
      card.wire.arriving.push(noise, frameOf(macOf(5), PEER_MAC, 60, i));
    }
    card.run();
    expect(sane.head).toBe(40);
    expect(pool.isContained).toBe(true);
  });

  it('random registers and descriptors never throw, never write outside the guest, never stop another VF', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const address = fc.oneof(word, fc.nat(RAM_BYTES));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(address, fc.constantFrom(0, 0, 1), address, fc.constantFrom(0, 1)), {
          minLength: 64,
          maxLength: 64,
        }),
        fc.record({
          base: fc.oneof(fc.constant(0x1_0000), word),
          length: fc.oneof(fc.constant(1024), word),
          srrctl: word.map((value) => value | SRRCTL_DROP_EN),
          psrtype: word,
          tail: fc.oneof(fc.nat(63), word),
        }),
        (descriptors, registers) => {
          const { card, pool, ring } = rig();
          const sane = new RxRing(new Pool(card, 5));
          sane.post(20);
          for (const [slot, dwords] of descriptors.entries()) ring.write(slot, dwords);
          const words = card.shared.words;
          words[(ring.block + RX.RDBAL) >> 2] = registers.base;
          words[(ring.block + RX.RDLEN) >> 2] = registers.length;
          words[(ring.block + RX.SRRCTL) >> 2] = registers.srrctl;
          card.set(psrtypeOffset(0), registers.psrtype);
          ring.setTail(registers.tail);
          ring.enable();
          for (let i = 0; i < 20; i++) {
            card.wire.arriving.push(
              udpPacket(macOf(0), PEER_MAC, new Uint8Array(i * 70)),
              frameOf(macOf(5), PEER_MAC),
            );
          }
          card.run();
          expect(sane.head).toBe(20);
          expect(pool.isContained).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('dirty bits, where the IOMMU has them on, are the truth', () => {
    const card = new Card();
    const pool = new Pool(card, 0, { dirtyBits: true });
    const ring = new RxRing(pool);
    new Int32Array(pool.handle.control)[DOMAIN_WORD.dirtyBitsOn] = 1;
    ring.post(30);
    for (let i = 0; i < 30; i++) card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 1500, i));
    card.run();
    expect(new Uint8Array(pool.handle.dirtyBits!)).toEqual(new Uint8Array(pool.handle.truth));
    expect(pool.truthPages()).toHaveLength(16);
  });
});

describe('receive: properties', () => {
  it('delivers every frame once, in order, and marks every page that changed', () => {
    const lengths = fc.array(fc.integer({ min: 60, max: 4000 }), { minLength: 1, maxLength: 60 });
    const posts = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        lengths,
        posts,
        fc.constantFrom(1, 2, 3),
        fc.constantFrom(8, 16, 24),
        (sizes, rhythm, kilobytes, count) => {
          const { card, pool, ring } = rig({ srrctl: ONE_BUFFER | kilobytes, count });
          card.set(MAXFRS, 9728 << 16);
          const before = Buffer.from(pool.memory.u8.slice(0, RAM_BYTES));
          const sent = sizes.map((length, index) => frameOf(macOf(0), PEER_MAC, length, index));
          card.wire.arriving.push(...sent);
          const got: Uint8Array[] = [];
          let next = 0;
          let parts: Uint8Array[] = [];
          for (let turn = 0; got.length < sent.length && turn < 2000; turn++) {
            const room = count - 1 - ((ring.tail - next + count) % count);
            for (let i = 0; i < Math.min(room, rhythm[turn % rhythm.length]! + 1); i++) {
              ring.write(ring.tail, [ring.buffers + ring.tail * 4096, 0, 0, 0]);
              ring.tail = (ring.tail + 1) % count;
            }
            ring.setTail(ring.tail);
            card.engine.step();
            for (; next !== ring.head; next = (next + 1) % count) {
              const at = ring.buffers + next * 4096;
              parts.push(pool.memory.u8.slice(at, at + (ring.word(next, 3) & 0xffff)));
              if ((ring.status(next) & EOP) === 0) continue;
              got.push(new Uint8Array(Buffer.concat(parts)));
              parts = [];
            }
          }
          expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
          const truth = new Set(pool.truthPages());
          const unmarked: number[] = [];
          for (let page = 0; page < RAM_BYTES / 4096; page++) {
            // the driver itself writes the ring
            if (truth.has(page) || page === ring.base >> 12) continue;
            const bytes = pool.memory.u8.subarray(page * 4096, (page + 1) * 4096);
            if (!before.subarray(page * 4096, (page + 1) * 4096).equals(bytes)) unmarked.push(page);
          }
          expect(unmarked).toEqual([]);
        },
      ),
      { numRuns: 20 },
    );
  });
});
