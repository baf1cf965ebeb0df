import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as at from '../../../src/hardware/nic/offsets.js';
import { READ, REGISTERS, VF_WINDOW, vfRegisterMap, WRITE } from '../../../src/hardware/nic/registers.js';
import { CONTROL, PF_BAR0_BYTES, REGION } from '../../../src/hardware/nic/shared.js';
import { Card } from './card.js';
import { at32 } from './reading.js';

const vfNumber = fc.integer({ min: 0, max: 62 });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

describe('the register table', () => {
  it('gives every register a place of its own in the PF image', () => {
    const owners = new Map<number, string>();
    for (const block of REGISTERS) {
      for (let i = 0; i < block.count; i++) {
        const offset = block.offset(i);
        const name = `${block.name}(${i})`;
        expect(offset % 4, name).toBe(0);
        expect(offset, name).toBeLessThan(PF_BAR0_BYTES);
        expect(owners.get(offset), `${name} at 0x${offset.toString(16)}`).toBeUndefined();
        owners.set(offset, name);
      }
    }
  });

  it('shows in a VF window only registers that exist, each once', () => {
    const known = new Set(REGISTERS.flatMap((b) => Array.from({ length: b.count }, (_, i) => b.offset(i))));
    for (const vf of [0, 31, 32, 62]) {
      const places = new Set<number>();
      for (const block of VF_WINDOW) {
        for (let i = 0; i < block.count; i++) {
          expect(known.has(block.pfOffset(vf, i)), `${block.name}(${i}) of VF ${vf}`).toBe(true);
          expect(places.has(block.offset(i)), `${block.name}(${i})`).toBe(false);
          places.add(block.offset(i));
        }
      }
    }
  });

  it('keeps the writable state of two VFs apart', () => {
    const shared = new Set([at.STATUS, at.LINKS, at.FRTIMER, 0x3190].map((offset) => offset >> 2));
    fc.assert(
      fc.property(vfNumber, vfNumber, (a, b) => {
        fc.pre(a !== b);
        const mapA = vfRegisterMap(a);
        const mapB = vfRegisterMap(b);
        const wordsA = new Set(
          [...mapA.word].filter((word, i) => mapA.write[i] !== WRITE.ignored && word !== 0),
        );
        for (let i = 0; i < mapB.word.length; i++) {
          const word = mapB.word[i]!;
          if (mapB.write[i] !== WRITE.ignored) expect(wordsA.has(word)).toBe(false);
          else if (mapB.read[i] !== READ.zero && !shared.has(word)) expect(wordsA.has(word)).toBe(false);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('has the reset values of the reference', () => {
    const bar = new Card().vf(5);
    expect(at32(bar, 0x100c)).toBe(0xa200);
    expect(at32(bar, 0x1014)).toBe(0x0402);
    expect(at32(bar, 0x200c)).toBe(0x2a00);
    expect(at32(bar, 0x2028)).toBe(0);
    expect(at32(bar, at.VF.VTEIMS)).toBe(0);
  });
});

describe('a VF window', () => {
  it('reads every offset of 16 KiB without throwing, never all ones', () => {
    const card = new Card();
    for (const vf of [0, 31, 32, 62]) {
      const bar = card.vf(vf);
      for (let offset = 0; offset < 0x4000; offset++) {
        const value = bar.read32(0, offset);
        expect(value >>> 0).toBe(value);
        expect(value).not.toBe(0xffff_ffff);
        bar.read32(3, offset);
      }
    }
  });

  it('stays sane under random accesses, and leaves the other VFs alone', () => {
    const card = new Card(4);
    const neighbour = card.vf(1);
    neighbour.write32(0, 0x1000, 0x1234_5680);
    neighbour.write32(0, 0x1028, 1 << 25);
    const access = fc.tuple(
      fc.constantFrom(0, 3, 1),
      fc.integer({ min: -8, max: 0x4010 }),
      u32,
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(access, { maxLength: 200 }), (accesses) => {
        const bar = card.vf(0);
        for (const [bir, offset, value, write] of accesses) {
          if (write) bar.write32(bir, offset, value);
          else expect(bar.read32(bir, offset)).toBeGreaterThanOrEqual(0);
        }
        expect(at32(bar, at.VF.STATUS)).toBe(0x0008_0000);
        expect(at32(neighbour, 0x1000)).toBe(0x1234_5680);
        expect(at32(neighbour, 0x1028)).toBe(1 << 25);
      }),
      { numRuns: 200 },
    );
  });

  it('ignores writes to reserved places', () => {
    const map = vfRegisterMap(7);
    const reserved = [...map.read.keys()].filter(
      (i) => map.read[i] === READ.zero && map.write[i] === WRITE.ignored,
    );
    expect(reserved.length).toBeGreaterThan(3000);
    const card = new Card();
    const bar = card.vf(7);
    const before = card.shared.words.slice();
    for (const entry of reserved) {
      bar.write32(0, entry << 2, 0xffff_ffff);
      expect(bar.read32(0, entry << 2)).toBe(0);
    }
    expect(card.shared.words).toEqual(before);
  });

  it('tolerates the queue blocks 2..7 that drivers initialise anyway', () => {
    const bar = new Card().vf(3);
    for (let queue = 2; queue < 8; queue++) {
      bar.write32(0, 0x1000 + 0x40 * queue, 0xffff_ffff);
      bar.write32(0, 0x2028 + 0x40 * queue, 1 << 25);
      expect(at32(bar, 0x2028 + 0x40 * queue)).toBe(0);
    }
  });

  it('stores what a mask allows and nothing else (plain registers)', () => {
    const card = new Card();
    // every VF's window has the same classes
    const { write } = vfRegisterMap(0);
    const plain = [...write.keys()].filter(
      (entry) => write[entry] === WRITE.plain || write[entry] === WRITE.tail,
    );
    fc.assert(
      fc.property(vfNumber, fc.constantFrom(...plain), u32, (vf, entry, value) => {
        const map = vfRegisterMap(vf);
        const bar = card.vf(vf);
        bar.write32(0, entry << 2, value);
        expect(bar.read32(0, entry << 2)).toBe((value & map.mask[entry]!) >>> 0);
      }),
      { numRuns: 500 },
    );
  });

  it('passes the pattern test of ethtool', () => {
    const bar = new Card().vf(9);
    const patterns = [0x5a5a_5a5a, 0xa5a5_a5a5, 0, 0xffff_ffff];
    for (const queue of [0, 1]) {
      for (const base of [0x1000 + 0x40 * queue, 0x2000 + 0x40 * queue]) {
        for (const [low, mask] of [
          [0, 0xffff_ff80],
          [4, 0xffff_ffff],
          [8, 0x000f_ff80],
        ] as const) {
          for (const pattern of patterns) {
            bar.write32(0, base + low, pattern);
            expect(at32(bar, base + low)).toBe((pattern & mask) >>> 0);
          }
        }
      }
      bar.write32(0, 0x1028 + 0x40 * queue, 1 << 25);
      for (const pattern of patterns) {
        bar.write32(0, 0x1018 + 0x40 * queue, pattern);
        expect(at32(bar, 0x1018 + 0x40 * queue)).toBe(pattern & 0xffff);
      }
    }
  });

  it('does not let a VF write statistics, link or status', () => {
    const bar = new Card().vf(2);
    const offsets = [
      at.VF.STATUS,
      at.VF.LINKS,
      at.VF.GPRC,
      at.VF.GORC_LSB,
      at.VF.GORC_MSB,
      at.VF.MPRC,
      at.VF.GPTC,
    ];
    for (const offset of offsets) {
      const before = at32(bar, offset);
      bar.write32(0, offset, 0x1234_5678);
      expect(at32(bar, offset)).toBe(before);
    }
  });

  it('shows the words the reference maps it to', () => {
    const card = new Card();
    fc.assert(
      fc.property(vfNumber, fc.integer({ min: 0, max: 1 }), u32, (vf, queue, value) => {
        const bar = card.vf(vf);
        const absolute = vf * 2 + queue;
        bar.write32(0, 0x1004 + 0x40 * queue, value);
        const rx = absolute < 64 ? 0x1004 + 0x40 * absolute : 0xd004 + 0x40 * (absolute - 64);
        expect(card.pf.read32(0, rx)).toBe(value);
        bar.write32(0, 0x203c + 0x40 * queue, value);
        expect(card.pf.read32(0, 0x603c + 0x40 * absolute)).toBe(value);
        bar.write32(0, 0x200 + 4 * 15, value);
        expect(card.pf.read32(0, 0x13000 + 64 * vf + 60)).toBe(value);
        card.shared.words[(0x101c + 0x40 * vf) >> 2] = value | 0;
        expect(at32(bar, 0x101c)).toBe(value);
        card.shared.words[(0xd01c + 0x40 * vf) >> 2] = value | 0;
        expect(at32(bar, 0x1034)).toBe(value);
      }),
    );
  });

  it('refuses a VF that the card does not have', () => {
    expect(() => new Card(4).vf(4)).toThrow(/no VF 4.*0 to 3/);
    expect(() => new Card(64)).toThrow(/1 to 63/);
  });
});

describe('the PF window', () => {
  it('reads every offset of 128 KiB as an unsigned number', () => {
    const card = new Card();
    for (let offset = 0; offset < PF_BAR0_BYTES; offset += 4) {
      const value = card.pf.read32(0, offset);
      expect(value >>> 0).toBe(value);
    }
    expect(card.pf.read32(0, PF_BAR0_BYTES)).toBe(0);
  });

  it('rings the engine and counts versions for filter registers', () => {
    const { pf, shared } = new Card();
    const version = () => shared.words[REGION.control + CONTROL.filterVersion];
    const before = version()!;
    pf.write32(0, at.vmolrOffset(3), at.VMOLR_BAM);
    pf.write32(0, at.rahOffset(20), 0xffff_ffff);
    expect(version()).toBe(before + 2);
    expect(pf.read32(0, 0xa204 + 8 * 20)).toBe(0x8000_ffff);
  });

  it('has the indirect registers reach the right queue', () => {
    const { pf, shared } = new Card();
    pf.write32(0, at.QDE, (1 << 16) | (37 << 8) | 1);
    pf.write32(0, at.QDE, (1 << 16) | (38 << 8) | 1);
    pf.write32(0, at.QDE, (1 << 16) | (38 << 8));
    pf.write32(0, at.QDE, (39 << 8) | 1);
    expect(shared.words[REGION.control + CONTROL.queueDrop + 1]).toBe(1 << 5);
    pf.write32(0, at.RTTDQSEL, 100);
    pf.write32(0, at.RTTBCNRC, 0x8000_4000);
    pf.write32(0, at.RTTDQSEL, 101);
    expect(pf.read32(0, at.RTTBCNRC)).toBe(0);
    pf.write32(0, at.RTTDQSEL, 100);
    expect(pf.read32(0, at.RTTBCNRC)).toBe(0x8000_4000);
    expect(shared.words[REGION.txRate + 100]! >>> 0).toBe(0x8000_4000);
  });

  it('clears port statistics on read', () => {
    const { pf, shared } = new Card();
    shared.words[at.GPRC >> 2] = 77;
    expect(pf.read32(0, at.GPRC)).toBe(77);
    expect(pf.read32(0, at.GPRC)).toBe(0);
  });
});
