import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { PCI } from '../../../src/hardware/pci/offsets.js';
import { Card } from '../nic/card.js';

/** Walks a list of capabilities: id -> offset. */
function walk(read: (offset: number) => number, first: number, extended: boolean): Map<number, number> {
  const found = new Map<number, number>();
  for (let offset = first; offset !== 0 && found.size < 16; ) {
    const head = read(offset);
    found.set(extended ? head & 0xffff : head & 0xff, offset);
    offset = extended ? head >>> 20 : (head >>> 8) & 0xff;
  }
  return found;
}

describe("a VF's configuration space", () => {
  const card = new Card();
  const vf = card.config(4);
  const read = (offset: number) => vf.read32(offset);

  it('identifies itself, without interrupt pin', () => {
    expect(read(PCI.ID)).toBe(0x10ed_8086);
    expect(read(PCI.CLASS) >>> 8).toBe(0x02_0000);
    expect((read(PCI.INTERRUPT) >>> 8) & 0xff).toBe(0);
    expect(read(PCI.COMMAND) >>> 16).toBe(0x10);
  });

  it('lists its capabilities where they are customary', () => {
    expect([...walk(read, read(PCI.CAPABILITIES) & 0xff, false)]).toEqual([
      [0x11, 0x70],
      [0x10, 0xa0],
    ]);
    expect([...walk(read, 0x100, true)]).toEqual([
      [0x0001, 0x100],
      [0x000e, 0x150],
    ]);
    expect((read(PCI.MSIX) >>> 16) & 0x7ff).toBe(2);
    expect(read(PCI.MSIX_TABLE)).toBe(3);
    expect(read(PCI.MSIX_PBA)).toBe(0x2003);
  });

  it('sizes its BARs when all ones are written', () => {
    const sizes: number[] = [];
    for (let bar = 0; bar < 6; bar++) {
      const offset = PCI.BAR0 + 4 * bar;
      vf.write32(offset, 0xffff_ffff);
      sizes.push(vf.read32(offset));
      vf.write32(offset, 0x1_2345 << 12);
    }
    expect(sizes).toEqual([0xffff_c004, 0xffff_ffff, 0, 0xffff_c004, 0xffff_ffff, 0]);
    expect(read(PCI.BAR0)).toBe(0x1234_4004);
  });

  it('takes memory enable and bus mastering, no other command bit, and rings the engine', () => {
    const rings = () => card.shared.words[REGION.control + CONTROL.doorbell]!;
    const before = rings();
    vf.write32(PCI.COMMAND, 0xffff_ffff);
    expect(read(PCI.COMMAND)).toBe(0x0010_0006);
    expect(rings()).toBe(before + 1);
    vf.write32(PCI.COMMAND, 0);
  });

  it('survives any write: identity and capabilities stay, other functions are untouched', () => {
    const neighbour = card.config(5);
    const snapshot = () => Array.from({ length: 1024 }, (_, i) => neighbour.read32(i * 4));
    const before = snapshot();
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (offset, value) => {
          vf.write32(offset, value);
          expect(read(PCI.ID)).toBe(0x10ed_8086);
          expect(read(PCI.MSIX) & 0x3fff_ffff).toBe(0x0002_a011);
        },
      ),
      { numRuns: 2000 },
    );
    expect(snapshot()).toEqual(before);
  });
});

describe("the PF's configuration space", () => {
  const pf = new Card().config(63);
  const read = (offset: number) => pf.read32(offset);

  it('has the SR-IOV capability at 0x160', () => {
    expect(read(PCI.ID)).toBe(0x10fb_8086);
    expect([...walk(read, 0x100, true)]).toEqual([
      [0x0001, 0x100],
      [0x000e, 0x150],
      [0x0010, 0x160],
    ]);
    expect(read(PCI.SRIOV + 0x0c)).toBe(63 | (63 << 16));
    expect(read(PCI.SRIOV + 0x18) >>> 16).toBe(0x10ed);
    pf.write32(PCI.SRIOV + 0x10, 8);
    pf.write32(PCI.SRIOV + 0x08, 0x9);
    expect(read(PCI.SRIOV + 0x10)).toBe(8);
    expect(read(PCI.SRIOV + 0x08)).toBe(9);
  });

  it('sizes its own and the VFs BARs', () => {
    for (const [offset, size] of [
      [PCI.BAR0, 0x20000],
      [PCI.BAR0 + 16, 0x4000],
      [PCI.SRIOV + 0x24, 0x4000],
      [PCI.SRIOV + 0x30, 0x4000],
    ] as const) {
      pf.write32(offset, 0xffff_ffff);
      expect((~(read(offset) & ~0xf) >>> 0) + 1).toBe(size);
    }
  });
});
