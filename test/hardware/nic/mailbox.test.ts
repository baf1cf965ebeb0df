import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PFMAILBOX as PFM, VFMAILBOX as VFM } from '../../../src/hardware/nic/mailbox.js';
import * as at from '../../../src/hardware/nic/offsets.js';
import { Card } from './card.js';
import { at32 } from './reading.js';

const MAILBOX = at.VF.MAILBOX;

function ready(): Card {
  const card = new Card();
  card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
  for (let vf = 0; vf < 63; vf++) card.vf(vf).read32(0, MAILBOX);
  card.enableMessages(63);
  card.pf.write32(0, at.IVAR_MISC, 0x8100);
  card.pf.write32(0, at.EIMS, at.EICR_MAILBOX);
  return card;
}

describe('the mailbox', () => {
  it('shows RSTI until the PF is done, then RSTD once', () => {
    const card = new Card();
    const bar = card.vf(10);
    expect(at32(bar, MAILBOX)).toBe(VFM.RSTI);
    expect(at32(bar, MAILBOX)).toBe(VFM.RSTI);
    card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
    expect(at32(bar, MAILBOX)).toBe(VFM.RSTD);
    expect(at32(bar, MAILBOX)).toBe(0);
    card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
    expect(at32(bar, MAILBOX)).toBe(0);
  });

  it('carries a request to the PF and the answer back', () => {
    const card = ready();
    const vf = 21;
    const bar = card.vf(vf);
    bar.write32(0, MAILBOX, VFM.VFU);
    expect(at32(bar, MAILBOX)).toBe(VFM.VFU);
    bar.write32(0, at.VF.MBMEM, 1);
    bar.write32(0, MAILBOX, VFM.REQ);
    expect(at32(bar, MAILBOX)).toBe(0);
    expect(card.msi.take()).toEqual([0x1001]);
    expect(card.pf.read32(0, at.EICR)).toBe(at.EICR_MAILBOX);
    expect(card.pf.read32(0, at.EICR)).toBe(0);
    expect(card.pf.read32(0, at.pfMbicrOffset(1))).toBe(1 << 5);
    card.pf.write32(0, at.pfMbicrOffset(1), 1 << 5);
    expect(card.pf.read32(0, at.pfMbicrOffset(1))).toBe(0);
    const pfMailbox = at.pfMailboxOffset(vf);
    card.pf.write32(0, pfMailbox, PFM.PFU);
    expect(card.pf.read32(0, pfMailbox)).toBe(PFM.PFU);
    expect(card.pf.read32(0, at.mailboxMemoryOffset(vf))).toBe(1);
    card.pf.write32(0, at.mailboxMemoryOffset(vf), 0x8000_0001);
    card.pf.write32(0, pfMailbox, PFM.STS | PFM.ACK);
    expect(at32(bar, MAILBOX)).toBe(VFM.PFSTS | VFM.PFACK);
    expect(at32(bar, MAILBOX)).toBe(0);
    expect(at32(bar, at.VF.MBMEM)).toBe(0x8000_0001);
    bar.write32(0, MAILBOX, VFM.ACK);
    expect(card.pf.read32(0, at.pfMbicrOffset(1))).toBe(1 << 21);
  });

  it('interrupts the VF through VTIVAR_MISC', () => {
    const card = ready();
    card.enableMessages(2);
    const bar = card.vf(2);
    bar.write32(0, at.VF.VTIVAR_MISC, 0x82);
    bar.write32(0, at.VF.VTEIMS, 4);
    card.pf.write32(0, at.pfMailboxOffset(2), PFM.STS);
    expect(card.msi.take()).toEqual([2 * 16 + 2]);
  });

  it('ignores what a VF cannot write, even when it writes back what it read', () => {
    const card = ready();
    const bar = card.vf(0);
    card.pf.write32(0, at.pfMailboxOffset(0), PFM.STS);
    const seen = at32(bar, MAILBOX);
    bar.write32(0, MAILBOX, seen | VFM.VFU);
    expect(at32(bar, MAILBOX)).toBe(VFM.VFU);
    expect(card.pf.read32(0, at.pfMbicrOffset(0))).toBe(0);
  });

  it('lets the PF take the buffer from a stuck VF', () => {
    const card = ready();
    const bar = card.vf(17);
    bar.write32(0, MAILBOX, VFM.VFU | VFM.REQ);
    card.pf.write32(0, at.pfMailboxOffset(17), PFM.PFU);
    expect(card.pf.read32(0, at.pfMailboxOffset(17))).toBe(PFM.VFU);
    card.pf.write32(0, at.pfMailboxOffset(17), PFM.RVFU);
    expect(card.pf.read32(0, at.pfMailboxOffset(17))).toBe(0);
    expect(card.pf.read32(0, at.pfMbicrOffset(1))).toBe(0);
  });

  it('never has two owners and never shows REQ or ACK', () => {
    const side = fc.constantFrom('vf', 'pf');
    const step = fc.tuple(side, fc.integer({ min: 0, max: 0xff }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const card = ready();
        const bar = card.vf(3);
        for (const [who, value] of steps) {
          if (who === 'vf') bar.write32(0, MAILBOX, value);
          else card.pf.write32(0, at.pfMailboxOffset(3), value);
          const owners = card.pf.read32(0, at.pfMailboxOffset(3));
          expect(owners).not.toBe(PFM.VFU | PFM.PFU);
          expect(at32(bar, MAILBOX) & (VFM.REQ | VFM.ACK)).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
  });
});
