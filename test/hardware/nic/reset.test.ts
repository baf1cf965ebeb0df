import { describe, expect, it } from 'vitest';
import { setLink } from '../../../src/hardware/nic/link.js';
import { PFMAILBOX, VFMAILBOX } from '../../../src/hardware/nic/mailbox.js';
import * as at from '../../../src/hardware/nic/offsets.js';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { PCI } from '../../../src/hardware/pci/offsets.js';
import { Card } from './card.js';
import { at32 } from './reading.js';

const EN = at.DCTL_ENABLE;

/** VF 33 with its first queue pair running and odd values everywhere. */
function busyVf() {
  const card = new Card();
  card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
  const bar = card.vf(33);
  bar.read32(0, at.VF.MAILBOX);
  card.enableMessages(33);
  for (const base of [0x1000, 0x2000]) {
    bar.write32(0, base, 0x1000);
    bar.write32(0, base + 4, 1);
    bar.write32(0, base + 8, 0x2000);
    bar.write32(0, base + 0x18, 17);
    bar.write32(0, base + 0x28, EN | 0x20);
  }
  bar.write32(0, 0x1014, 0x1200_0403);
  bar.write32(0, 0x2038, 0x5001);
  bar.write32(0, at.VF.PSRTYPE, 0x1330);
  bar.write32(0, at.VF.VTIVAR, 0x80);
  bar.write32(0, at.VF.VTEIAC, 7);
  bar.write32(0, at.VF.VTEITR, 0xc8);
  bar.write32(0, at.VF.VTEIMS, 7);
  const words = card.shared.words;
  words[(at.rxQueueOffset(66) + at.RX.RDH) >> 2] = 5;
  words[at.vfgprcOffset(33) >> 2] = 1000;
  words[REGION.txContext + 66 * 8] = 0x1234;
  card.pf.write32(0, at.vfreOffset(1), 0xffff_ffff);
  card.pf.write32(0, at.vfteOffset(1), 0xffff_ffff);
  return { card, bar };
}

describe('a VF reset', () => {
  it('stops queues and interrupts and tells the PF', () => {
    const { card, bar } = busyVf();
    card.enableMessages(63);
    card.pf.write32(0, at.IVAR_MISC, 0x8000);
    card.pf.write32(0, at.EIMS, at.EICR_MAILBOX);
    bar.write32(0, at.VF.CTRL, at.VFCTRL_RST);
    expect(at32(bar, at.VF.CTRL)).toBe(0);
    for (const offset of [0x1000, 0x1004, 0x1008, 0x2000, 0x2004, 0x2008]) expect(at32(bar, offset)).toBe(0);
    expect(at32(bar, 0x1028)).toBe(0x20);
    expect(at32(bar, 0x2028)).toBe(0x20);
    for (const offset of [at.VF.VTEIMS, at.VF.VTEICS, at.VF.VTEIAC, at.VF.VTIVAR, at.VF.VTEITR]) {
      expect(at32(bar, offset)).toBe(0);
    }
    expect(card.shared.words[REGION.txContext + 66 * 8]).toBe(0);
    expect(card.pf.read32(0, at.vflreOffset(1))).toBe(1 << 1);
    expect(card.pf.read32(0, at.vfreOffset(1))).toBe(0xffff_fffd);
    expect(card.pf.read32(0, at.vfteOffset(1))).toBe(0xffff_fffd);
    expect(card.msi.take()).toEqual([0x1000]);
    card.pf.write32(0, at.vflrecOffset(1), 1 << 1);
    expect(card.pf.read32(0, at.vflreOffset(1))).toBe(0);
  });

  it('leaves heads, tails, sizes, statistics and the MSI-X table standing', () => {
    const { bar } = busyVf();
    bar.write32(0, at.VF.CTRL, at.VFCTRL_RST);
    expect(at32(bar, 0x1010)).toBe(5);
    expect(at32(bar, 0x1018)).toBe(17);
    expect(at32(bar, 0x1014)).toBe(0x1200_0403);
    expect(at32(bar, 0x2038)).toBe(0x5001);
    expect(at32(bar, at.VF.PSRTYPE)).toBe(0x1330);
    expect(at32(bar, at.VF.GPRC)).toBe(1000);
    expect(bar.read32(3, 8)).toBe(33 * 16);
  });

  it('gives up the mailbox', () => {
    const { card, bar } = busyVf();
    bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    bar.write32(0, at.VF.CTRL, at.VFCTRL_RST);
    card.pf.write32(0, at.pfMailboxOffset(33), PFMAILBOX.PFU);
    expect(card.pf.read32(0, at.pfMailboxOffset(33))).toBe(PFMAILBOX.PFU);
  });

  it('waits for the engine to let go of a queue', () => {
    const { card, bar } = busyVf();
    card.shared.words[REGION.control + CONTROL.engineRunning] = 1;
    bar.write32(0, at.VF.CTRL, at.VFCTRL_RST);
    expect(at32(bar, 0x1028) & EN).toBe(EN);
    expect(card.shared.words[REGION.control + CONTROL.queueRequests]).toBe(1);
  });
});

describe('a function-level reset', () => {
  it('also clears configuration space and MSI-X', () => {
    const { card, bar } = busyVf();
    const config = card.config(33);
    config.write32(PCI.PCIE_DEVCTL, config.read32(PCI.PCIE_DEVCTL) | (1 << 15));
    expect(config.read32(PCI.PCIE_DEVCTL) & (1 << 15)).toBe(0);
    expect(config.read32(PCI.COMMAND) & 0xffff).toBe(0);
    expect(config.read32(PCI.MSIX) >>> 30).toBe(0);
    expect(bar.read32(3, 12)).toBe(1);
    expect(at32(bar, 0x1028) & EN).toBe(0);
    expect(card.pf.read32(0, at.vflreOffset(1))).toBe(1 << 1);
  });
});

describe('a PF reset', () => {
  it('resets every register, and the VFs see it until it is done', () => {
    const { card, bar } = busyVf();
    card.pf.write32(0, at.vmolrOffset(3), at.VMOLR_BAM);
    card.pf.write32(0, at.CTRL, at.CTRL_RST);
    expect(card.pf.read32(0, at.CTRL)).toBe(0);
    expect(card.pf.read32(0, at.vmolrOffset(3))).toBe(0);
    expect(at32(bar, 0x1010)).toBe(0);
    expect(at32(bar, 0x1014)).toBe(0x0402);
    expect(at32(bar, at.VF.GPRC)).toBe(0);
    expect(at32(bar, at.VF.STATUS)).toBe(0x0008_0000);
    expect(at32(bar, at.VF.MAILBOX)).toBe(VFMAILBOX.RSTI);
    card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
    expect(at32(bar, at.VF.MAILBOX)).toBe(VFMAILBOX.RSTD);
    expect(card.config(33).read32(PCI.COMMAND) & 4).toBe(4);
  });
});

describe('the link', () => {
  it.each([
    [0, 3],
    [10_000, 3],
    [1000, 2],
    [100, 1],
  ])('at %i Mb/s says speed code %i, only while the cable is there', (mbps, code) => {
    const card = new Card();
    const words = card.shared.words;
    words[REGION.control + CONTROL.linkSpeedMbps] = mbps;
    card.enableMessages(63);
    card.pf.write32(0, at.IVAR_MISC, 0x8000);
    card.pf.write32(0, at.EIMS, at.EICR_LSC);
    setLink(card.shared, card.msi, card.clock, false);
    expect(at32(card.vf(0), at.VF.LINKS)).toBe(0);
    expect(card.msi.take()).toEqual([]);
    setLink(card.shared, card.msi, card.clock, true);
    expect(card.msi.take()).toEqual([0x1000]);
    expect(at32(card.vf(0), at.VF.LINKS)).toBe((1 << 30) | (code << 28));
    card.pf.write32(0, at.CTRL, at.CTRL_RST);
    expect(at32(card.vf(0), at.VF.LINKS)).toBe((1 << 30) | (code << 28));
  });
});
