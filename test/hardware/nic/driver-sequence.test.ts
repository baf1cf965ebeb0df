/** The stock driver's probe, open and close (vf-hardware 3.2, 3.3, 3.9), register by register, with a small PF behind. */
import { describe, expect, it } from 'vitest';
import { raiseRx } from '../../../src/hardware/nic/interrupts.js';
import { setLink } from '../../../src/hardware/nic/link.js';
import { PFMAILBOX, VFMAILBOX } from '../../../src/hardware/nic/mailbox.js';
import * as at from '../../../src/hardware/nic/offsets.js';
import type { VfBar } from '../../../src/hardware/nic/vf-bar.js';
import { Card } from './card.js';

const VF_INDEX = 6;

/** Answers one request the way the Linux PF does. */
function servePf(card: Card, reply: (words: number[]) => number[]): void {
  const { pf } = card;
  const request = pf.read32(0, at.pfMbicrOffset(0)) & 0xffff;
  expect(request).toBe(1 << VF_INDEX);
  pf.write32(0, at.pfMailboxOffset(VF_INDEX), PFMAILBOX.PFU);
  expect(pf.read32(0, at.pfMailboxOffset(VF_INDEX))).toBe(PFMAILBOX.PFU);
  const memory = at.mailboxMemoryOffset(VF_INDEX);
  const words = Array.from({ length: 16 }, (_, i) => pf.read32(0, memory + 4 * i));
  pf.write32(0, at.pfMailboxOffset(VF_INDEX), PFMAILBOX.ACK);
  pf.write32(0, at.pfMailboxOffset(VF_INDEX), PFMAILBOX.PFU);
  pf.write32(0, at.pfMbicrOffset(0), 0x1_0001 << VF_INDEX);
  reply(words).forEach((word, i) => {
    pf.write32(0, memory + 4 * i, word);
  });
  pf.write32(0, at.pfMailboxOffset(VF_INDEX), PFMAILBOX.STS);
}

/** The legacy exchange of 1.4: lock, words, REQ, wait for PFSTS, lock, read, ACK. */
function exchange(card: Card, bar: VfBar, words: number[], reply: (words: number[]) => number[]): number[] {
  bar.write32(0, at.VF.MAILBOX, bar.read32(0, at.VF.MAILBOX) | VFMAILBOX.VFU);
  expect(bar.read32(0, at.VF.MAILBOX) & VFMAILBOX.VFU).toBe(VFMAILBOX.VFU);
  words.forEach((word, i) => {
    bar.write32(0, at.VF.MBMEM + 4 * i, word);
  });
  bar.write32(0, at.VF.MAILBOX, VFMAILBOX.REQ);
  servePf(card, reply);
  const seen = bar.read32(0, at.VF.MAILBOX);
  expect(seen & VFMAILBOX.PFSTS).toBe(VFMAILBOX.PFSTS);
  bar.write32(0, at.VF.MAILBOX, seen | VFMAILBOX.VFU);
  const answer = Array.from({ length: 4 }, (_, i) => bar.read32(0, at.VF.MBMEM + 4 * i));
  bar.write32(0, at.VF.MAILBOX, VFMAILBOX.ACK);
  return answer;
}

function probe(card: Card, bar: VfBar): void {
  card.pf.write32(0, at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
  card.enableMessages(VF_INDEX);
  for (const queue of [0, 1]) expect(bar.read32(0, 0x1028 + 0x40 * queue) & at.DCTL_ENABLE).toBe(0);
  bar.write32(0, at.VF.VTEIMC, 7);
  bar.read32(0, at.VF.VTEICR);
  bar.write32(0, at.VF.CTRL, at.VFCTRL_RST);
  expect(bar.read32(0, at.VF.STATUS)).not.toBe(0xffff_ffff);
  let tries = 0;
  while ((bar.read32(0, at.VF.MAILBOX) & (VFMAILBOX.RSTI | VFMAILBOX.RSTD)) !== 0) {
    expect(++tries).toBeLessThan(200);
  }
  const answer = exchange(card, bar, [1], () => {
    card.pf.write32(0, at.vfreOffset(0), 1 << VF_INDEX);
    card.pf.write32(0, at.vfteOffset(0), 1 << VF_INDEX);
    return [0x8000_0001, 0x0000_5452, 0x0100, 0];
  });
  expect(answer).toEqual([0x8000_0001, 0x0000_5452, 0x0100, 0]);
}

function open(bar: VfBar): void {
  bar.write32(0, 0x2028, at.DCTL_SWFLSH);
  bar.read32(0, at.VF.STATUS);
  for (const [low, value] of [
    [0x00, 0x10_0000],
    [0x04, 0],
    [0x08, 1024 * 16],
    [0x3c, 0],
    [0x38, 0],
    [0x0c, 0x2200],
    [0x10, 0],
    [0x18, 0],
    [0x28, 0x0208_0120],
  ] as const) {
    bar.write32(0, 0x2000 + low, value);
  }
  expect(bar.read32(0, 0x2028)).toBe(0x0208_0120);
  bar.write32(0, at.VF.PSRTYPE, 0x1330);
  const first = bar.read32(0, 0x1028);
  bar.write32(0, 0x1028, first & ~at.DCTL_ENABLE);
  for (const [low, value] of [
    [0x00, 0x20_0000],
    [0x04, 0],
    [0x08, 512 * 16],
    [0x0c, 0x200],
    [0x10, 0],
    [0x18, 0],
    [0x14, 0x1200_0402],
  ] as const) {
    bar.write32(0, 0x1000 + low, value);
  }
  bar.write32(0, 0x1028, (first | 0x4200_0000) >>> 0);
  expect(bar.read32(0, 0x1028)).toBe(0x4200_0000);
  bar.write32(0, 0x1018, 511);
  bar.write32(0, at.VF.VTIVAR, 0x8080);
  bar.write32(0, at.VF.VTEITR, 0x8000_00c8);
  bar.write32(0, at.VF.VTIVAR_MISC, 0x81);
  bar.read32(0, at.VF.VTEICR);
  for (const offset of [at.VF.VTEIAM, at.VF.VTEIAC, at.VF.VTEIMS]) bar.write32(0, offset, 3);
}

describe('the stock driver', () => {
  it('probes, opens, takes interrupts as NAPI does, and closes', () => {
    const card = new Card();
    const bar = card.vf(VF_INDEX);
    probe(card, bar);
    open(bar);
    expect(bar.read32(0, 0x1018)).toBe(511);
    expect(card.pf.read32(0, at.rxQueueOffset(12) + at.RX.RDT)).toBe(511);
    raiseRx(card.shared, card.msi, card.clock, VF_INDEX, 0);
    raiseRx(card.shared, card.msi, card.clock, VF_INDEX, 0);
    expect(card.msi.take()).toEqual([VF_INDEX * 16]);
    expect(bar.read32(0, at.VF.VTEIMS)).toBe(2);
    card.clock.timeNs += 50_000;
    bar.write32(0, at.VF.VTEIMS, 1);
    expect(card.msi.take()).toEqual([VF_INDEX * 16]);

    bar.write32(0, 0x1028, bar.read32(0, 0x1028) & ~at.DCTL_ENABLE);
    expect(bar.read32(0, 0x1028) & at.DCTL_ENABLE).toBe(0);
    bar.write32(0, at.VF.VTEIMC, 0xffff_ffff);
    bar.write32(0, 0x2028, at.DCTL_SWFLSH);
    probe(card, bar);
    expect(bar.read32(0, at.VF.VTEIMS)).toBe(0);
  });

  it('learns of a link change by the mailbox interrupt and VFLINKS', () => {
    const card = new Card();
    const bar = card.vf(VF_INDEX);
    probe(card, bar);
    open(bar);
    setLink(card.shared, card.msi, card.clock, true);
    card.pf.write32(0, at.mailboxMemoryOffset(VF_INDEX), 0x2000_0100);
    card.pf.write32(0, at.pfMailboxOffset(VF_INDEX), PFMAILBOX.STS);
    expect(card.msi.take()).toEqual([VF_INDEX * 16 + 1]);
    expect(bar.read32(0, at.VF.LINKS) & at.LINKS_UP).toBe(at.LINKS_UP);
    expect(bar.read32(0, at.VF.MBMEM)).toBe(0x2000_0100);
  });
});
