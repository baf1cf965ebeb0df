import { describe, expect, it } from 'vitest';
import { fireModerated, raisePf, raiseRx, raiseTx } from '../../../src/hardware/nic/interrupts.js';
import * as at from '../../../src/hardware/nic/offsets.js';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { COMMAND_MASTER, MSIX_ENABLE, MSIX_FUNCTION_MASK, PCI } from '../../../src/hardware/pci/offsets.js';
import { Card } from './card.js';
import { at32 } from './reading.js';

const { VTEICR, VTEICS, VTEIMS, VTEIMC, VTEIAC, VTEIAM, VTIVAR, VTEITR } = at.VF;
const VECTOR_0 = 16;
const VECTOR_1 = 17;

/** VF 1, queue pair 0 on vector 0 and pair 1 on vector 1, everything unmasked, no moderation. */
function running() {
  const card = new Card();
  card.enableMessages(1);
  const bar = card.vf(1);
  bar.write32(0, VTIVAR, 0x8181_8080);
  bar.write32(0, VTEIMS, 7);
  const rx = (queue = 0) => raiseRx(card.shared, card.msi, card.clock, 1, queue);
  const tx = (queue = 0) => raiseTx(card.shared, card.msi, card.clock, 1, queue);
  const later = () => fireModerated(card.shared, card.msi, card.clock);
  return { card, bar, msi: card.msi, rx, tx, later };
}

describe('a cause', () => {
  it('goes to the vector its IVAR byte names', () => {
    const { bar, msi, rx, tx } = running();
    bar.write32(0, VTIVAR, 0x8281_8081);
    rx(0);
    tx(0);
    rx(1);
    tx(1);
    expect(msi.messages.map((message) => message.requester)).toEqual([2, 2, 2, 2]);
    expect(msi.take()).toEqual([VECTOR_1, VECTOR_0, VECTOR_1, 18]);
    expect(at32(bar, VTEICR)).toBe(7);
  });

  it('is nothing at all when the entry is not valid or names a fourth vector', () => {
    const { bar, msi, rx, tx } = running();
    bar.write32(0, VTIVAR, 0x0000_8301);
    rx(0);
    tx(0);
    expect(msi.take()).toEqual([]);
    expect(at32(bar, VTEICS)).toBe(0);
  });

  it('reads through VTEICS without clearing, through VTEICR with clearing, and clears by ones', () => {
    const { bar, rx } = running();
    bar.write32(0, VTEIMC, 7);
    rx(0);
    rx(1);
    expect(at32(bar, VTEICS)).toBe(3);
    bar.write32(0, VTEICR, 1);
    expect(at32(bar, VTEICS)).toBe(2);
    expect(at32(bar, VTEICR)).toBe(2);
    expect(at32(bar, VTEICR)).toBe(0);
  });

  it('latched while masked is sent when unmasked', () => {
    const { bar, msi, rx } = running();
    bar.write32(0, VTEIMC, 0xffff_ffff);
    expect(at32(bar, VTEIMS)).toBe(0);
    rx();
    expect(msi.take()).toEqual([]);
    bar.write32(0, VTEIMS, 2);
    expect(msi.take()).toEqual([]);
    bar.write32(0, VTEIMS, 1);
    expect(msi.take()).toEqual([VECTOR_0]);
  });

  it('that was sent already is not sent again by a write to VTEIMS', () => {
    const { bar, msi, rx } = running();
    rx();
    expect(msi.take()).toEqual([VECTOR_0]);
    bar.write32(0, VTEIMS, 7);
    expect(msi.take()).toEqual([]);
  });

  it('set by software is a real interrupt', () => {
    const { bar, msi } = running();
    bar.write32(0, VTEICS, 3);
    expect(msi.take()).toEqual([VECTOR_0, VECTOR_1]);
  });
});

describe('sending', () => {
  it('clears and masks the cause where VTEIAC and VTEIAM say so', () => {
    const { bar, msi, rx } = running();
    bar.write32(0, VTEIAC, 1);
    bar.write32(0, VTEIAM, 3);
    rx(0);
    rx(1);
    expect(msi.take()).toEqual([VECTOR_0, VECTOR_1]);
    expect(at32(bar, VTEICS)).toBe(2);
    expect(at32(bar, VTEIMS)).toBe(4);
    rx(0);
    expect(msi.take()).toEqual([]);
    bar.write32(0, VTEIMS, 1);
    expect(msi.take()).toEqual([VECTOR_0]);
  });

  it('leaves the mask alone when the PF has auto-mask off', () => {
    const { card, bar, rx } = running();
    card.pf.write32(0, at.GPIE, 0);
    bar.write32(0, VTEIAM, 1);
    rx();
    expect(at32(bar, VTEIMS)).toBe(7);
  });

  it('does not repeat an auto-cleared cause on unmask', () => {
    const { bar, msi, rx } = running();
    bar.write32(0, VTEIAC, 7);
    bar.write32(0, VTEIAM, 7);
    rx();
    bar.write32(0, VTEIMS, 1);
    expect(msi.take()).toEqual([VECTOR_0]);
  });
});

describe('MSI-X', () => {
  it('keeps a message of a masked vector pending and sends it on unmask', () => {
    const { bar, msi, rx } = running();
    bar.write32(3, 12, 1);
    rx();
    rx();
    expect(msi.take()).toEqual([]);
    expect(bar.read32(3, 0x2000)).toBe(1);
    bar.write32(3, 0x2000, 0);
    expect(bar.read32(3, 0x2000)).toBe(1);
    bar.write32(3, 12, 0);
    expect(msi.take()).toEqual([VECTOR_0]);
    expect(bar.read32(3, 0x2000)).toBe(0);
  });

  it('does the same for the function mask', () => {
    const { card, bar, msi, rx } = running();
    const config = card.config(1);
    config.write32(PCI.MSIX, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    rx(0);
    rx(1);
    bar.write32(3, 16 + 12, 1);
    expect(msi.take()).toEqual([]);
    config.write32(PCI.MSIX, MSIX_ENABLE);
    expect(msi.take()).toEqual([VECTOR_0]);
    bar.write32(3, 16 + 12, 0);
    expect(msi.take()).toEqual([VECTOR_1]);
  });

  it('sends nothing without bus mastering or while disabled, and everything latched afterwards', () => {
    const { card, bar, msi, rx } = running();
    const config = card.config(1);
    bar.write32(0, VTEIAC, 7);
    config.write32(PCI.COMMAND, 0);
    rx();
    expect(msi.take()).toEqual([]);
    expect(at32(bar, VTEICS)).toBe(1);
    config.write32(PCI.COMMAND, COMMAND_MASTER);
    expect(msi.take()).toEqual([VECTOR_0]);
    config.write32(PCI.MSIX, 0);
    rx();
    expect(msi.take()).toEqual([]);
    config.write32(PCI.MSIX, MSIX_ENABLE);
    expect(msi.take()).toEqual([VECTOR_0]);
  });
});

describe('moderation', () => {
  it('sends the first at once and the next when the interval is over', () => {
    const { card, bar, msi, rx, later } = running();
    bar.write32(0, VTEIAC, 7);
    bar.write32(0, VTEITR, 0x8000_00c8); // 50 us
    expect(at32(bar, VTEITR)).toBe(0xc8);
    rx();
    expect(msi.take()).toEqual([VECTOR_0]);
    expect(later()).toBe(Infinity);
    card.clock.timeNs += 10_000;
    rx();
    rx();
    expect(msi.take()).toEqual([]);
    expect(later()).toBe(1_050_000);
    card.clock.timeNs += 39_999;
    expect(later()).toBe(1_050_000);
    expect(msi.take()).toEqual([]);
    card.clock.timeNs += 1;
    expect(later()).toBe(Infinity);
    expect(msi.take()).toEqual([VECTOR_0]);
    expect(at32(bar, VTEICS)).toBe(0);
  });

  it('keeps vectors and functions apart and reports the earliest', () => {
    const { card, bar, msi, rx, later } = running();
    card.enableMessages(62);
    const other = card.vf(62);
    other.write32(0, VTIVAR, 0x80);
    other.write32(0, VTEIMS, 1);
    bar.write32(0, VTEITR, 0xc8);
    bar.write32(0, VTEITR + 4, 0x50); // 20 us
    other.write32(0, VTEITR, 0x28); // 10 us
    for (let twice = 0; twice < 2; twice++) {
      rx(0);
      rx(1);
      raiseRx(card.shared, card.msi, card.clock, 62, 0);
    }
    expect(msi.take()).toEqual([VECTOR_0, VECTOR_1, 62 * 16]);
    expect(later()).toBe(1_010_000);
    card.clock.timeNs = 1_020_000;
    expect(later()).toBe(1_050_000);
    expect(msi.take().sort()).toEqual([VECTOR_1, 62 * 16]);
  });

  it('does not send what was masked or cleared in the meantime, and sends it on unmask', () => {
    const { card, bar, msi, rx, later } = running();
    bar.write32(0, VTEITR, 0xc8);
    rx();
    rx();
    msi.take();
    bar.write32(0, VTEIMC, 1);
    card.clock.timeNs += 60_000;
    expect(later()).toBe(Infinity);
    expect(msi.take()).toEqual([]);
    bar.write32(0, VTEIMS, 1);
    expect(msi.take()).toEqual([VECTOR_0]);
  });

  it('starts anew on a write without CNT_WDIS, and goes on with it', () => {
    const { bar, msi, rx, later } = running();
    bar.write32(0, VTEITR, 0xc8);
    rx();
    bar.write32(0, VTEITR, 0x8000_00c8);
    rx();
    expect(msi.take()).toEqual([VECTOR_0]);
    bar.write32(0, VTEITR, 0xc8);
    expect(later()).toBe(Infinity);
    expect(msi.take()).toEqual([VECTOR_0]);
  });

  it('wakes the engine when a guest access has to wait for the interval', () => {
    const { card, bar, rx } = running();
    bar.write32(0, VTEITR, 0xc8);
    rx();
    const rings = () => card.shared.words[REGION.control + CONTROL.doorbell]!;
    const before = rings();
    bar.write32(0, VTEICS, 1);
    expect(rings()).toBe(before + 1);
    expect(card.shared.words[REGION.control + CONTROL.moderationPending]).toBe(1);
  });
});

describe('the PF', () => {
  it('gets its other causes on the vector of IVAR_MISC, if unmasked', () => {
    const card = new Card();
    card.enableMessages(63);
    const raise = (cause: number) => raisePf(card.shared, card.msi, card.clock, cause);
    raise(at.EICR_LSC);
    card.pf.write32(0, at.IVAR_MISC, 0x8200);
    expect(card.msi.take()).toEqual([]);
    card.pf.write32(0, at.EIMS, at.EICR_LSC | at.EICR_MAILBOX);
    expect(card.msi.messages).toEqual([{ requester: 0, address: 0xfee0_0000, data: 0x1002 }]);
    expect(card.pf.read32(0, at.EICS)).toBe(at.EICR_LSC);
    expect(card.pf.read32(0, at.EICR)).toBe(at.EICR_LSC);
    expect(card.pf.read32(0, at.EICR)).toBe(0);
  });

  it('gets its queues on the vectors of IVAR', () => {
    const card = new Card();
    card.enableMessages(63);
    card.pf.write32(0, at.IVAR_BASE + 4 * 63, 0x80);
    card.pf.write32(0, at.EIMS, 1);
    raiseRx(card.shared, card.msi, card.clock, 63, 0);
    expect(card.msi.take()).toEqual([0x1000]);
  });
});
