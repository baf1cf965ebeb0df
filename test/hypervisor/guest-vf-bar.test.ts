/** Statistics that go on over a migration: 32 and 36 bits, whatever the card's own counters show. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { VF } from '../../src/hardware/nic/offsets.js';
import type { VfBar } from '../../src/hardware/nic/vf-bar.js';
import { createBarMapBuffer } from '../../src/hypervisor/bar-map.js';
import { GuestVfBar, type VfStatistics } from '../../src/hypervisor/guest-vf-bar.js';

const TWO_32 = 2 ** 32;
const TWO_36 = 2 ** 36;

/** A card's counters that a test sets. */
class Counters {
  values: VfStatistics;

  constructor(values: VfStatistics) {
    this.values = values;
  }

  read32(_bar: number, offset: number): number {
    const { values } = this;
    switch (offset) {
      case VF.GPRC:
        return values.goodPacketsReceived;
      case VF.MPRC:
        return values.multicastPacketsReceived;
      case VF.GPTC:
        return values.goodPacketsSent;
      case VF.GORC_LSB:
        return values.goodOctetsReceived % TWO_32;
      case VF.GORC_MSB:
        return Math.floor(values.goodOctetsReceived / TWO_32);
      case VF.GOTC_LSB:
        return values.goodOctetsSent % TWO_32;
      case VF.GOTC_MSB:
        return Math.floor(values.goodOctetsSent / TWO_32);
      default:
        return offset;
    }
  }
}

const NOTHING: VfStatistics = {
  goodPacketsReceived: 0,
  goodOctetsReceived: 0,
  multicastPacketsReceived: 0,
  goodPacketsSent: 0,
  goodOctetsSent: 0,
};

const u32 = fc.nat(0xffff_ffff);
const u36 = fc.maxSafeNat().map((value) => value % TWO_36);
const statistics: fc.Arbitrary<VfStatistics> = fc.record({
  goodPacketsReceived: u32,
  goodOctetsReceived: u36,
  multicastPacketsReceived: u32,
  goodPacketsSent: u32,
  goodOctetsSent: u36,
});

const plus = (a: VfStatistics, b: VfStatistics): VfStatistics => ({
  goodPacketsReceived: (a.goodPacketsReceived + b.goodPacketsReceived) % TWO_32,
  goodOctetsReceived: (a.goodOctetsReceived + b.goodOctetsReceived) % TWO_36,
  multicastPacketsReceived: (a.multicastPacketsReceived + b.multicastPacketsReceived) % TWO_32,
  goodPacketsSent: (a.goodPacketsSent + b.goodPacketsSent) % TWO_32,
  goodOctetsSent: (a.goodOctetsSent + b.goodOctetsSent) % TWO_36,
});

it('goes on from any values on a card that shows any others, migration after migration', () => {
  fc.assert(
    fc.property(statistics, fc.array(fc.tuple(statistics, statistics), { maxLength: 4 }), (start, hops) => {
      let expected = start;
      for (const [shown, counted] of hops) {
        const card = new Counters(shown);
        const bar = new GuestVfBar(card as unknown as VfBar, createBarMapBuffer());
        expect(bar.statistics()).toEqual(shown);
        bar.continueFrom(expected);
        expect(bar.statistics()).toEqual(expected);
        card.values = plus(shown, counted);
        expected = plus(expected, counted);
        expect(bar.statistics()).toEqual(expected);
        expect(bar.read32(0, 0x1010)).toBe(0x1010);
      }
    }),
  );
});

it.each([9, 10])(
  'shows the high register of one moment, though the card is %i octets from 32 bits',
  (first) => {
    const card = new Counters({ ...NOTHING, goodOctetsReceived: TWO_32 - first });
    const bar = new GuestVfBar(card as unknown as VfBar, createBarMapBuffer());
    bar.continueFrom({ ...NOTHING, goodOctetsReceived: 8 * TWO_32 + 10 });
    const read = card.read32.bind(card);
    card.read32 = (index, offset) => {
      const value = read(index, offset);
      const { goodOctetsReceived } = card.values;
      card.values = { ...card.values, goodOctetsReceived: goodOctetsReceived + 1 };
      return value;
    };
    const shown = Array.from({ length: 10 }, () => bar.read32(0, VF.GORC_MSB));
    expect(shown).toEqual(shown.map(() => 8));
  },
);
