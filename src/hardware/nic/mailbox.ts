/**
 * The mailbox between a VF and the PF (vf-hardware 1.4): one flag word per VF behind VFMAILBOX and PFMAILBOX, and who may
 * own the buffer.
 *
 *   VF: VFU -> words -> REQ  ~~ PFMBICR, EICR ~~>  PF: PFU -> words -> ACK  ~~ PFACK, "other" interrupt ~~>  VF
 *   VF: VFU -> words -> ACK  <~~ PFSTS ~~~~~~~~~~  PF: PFU -> words -> STS
 *
 * The flag word keeps the bits where VFMAILBOX has them. Each write is one compare-and-swap: both sides may grab the
 * buffer at the same moment from different threads, and only one gets it.
 */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { raiseMailbox, raisePf } from './interrupts.js';
import { EICR_MAILBOX, pfMbicrOffset, pfMbimrOffset } from './offsets.js';
import { MAX_VFS, type NicShared, REGION } from './shared.js';

export const VFMAILBOX = {
  REQ: 1 << 0,
  ACK: 1 << 1,
  VFU: 1 << 2,
  PFU: 1 << 3,
  PFSTS: 1 << 4,
  PFACK: 1 << 5,
  RSTI: 1 << 6,
  RSTD: 1 << 7,
} as const;
export const PFMAILBOX = { STS: 1 << 0, ACK: 1 << 1, VFU: 1 << 2, PFU: 1 << 3, RVFU: 1 << 4 } as const;

const CLEARED_BY_READ = VFMAILBOX.PFSTS | VFMAILBOX.PFACK | VFMAILBOX.RSTD;
const OWNERS = VFMAILBOX.VFU | VFMAILBOX.PFU;

/** A read through the VF's window: clears PFSTS, PFACK and RSTD. */
export function readVfMailbox(shared: NicShared, vf: number): number {
  const word = REGION.mailbox + vf;
  const flags = Atomics.load(shared.words, word);
  return (flags & CLEARED_BY_READ) === 0 ? flags : Atomics.and(shared.words, word, ~CLEARED_BY_READ);
}

/** A read through the PF's window: who owns the buffer. */
export function readPfMailbox(shared: NicShared, vf: number): number {
  return Atomics.load(shared.words, REGION.mailbox + vf) & OWNERS;
}

/** A write to VFMAILBOX. True if the PF's message waits for its EITR interval. */
export function writeVfMailbox(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  vf: number,
  value: number,
): boolean {
  const words = shared.words;
  const word = REGION.mailbox + vf;
  let flags = Atomics.load(words, word);
  for (;;) {
    let next = flags & ~VFMAILBOX.VFU;
    if ((value & VFMAILBOX.VFU) !== 0 && (flags & VFMAILBOX.PFU) === 0) next |= VFMAILBOX.VFU;
    const seen = Atomics.compareExchange(words, word, flags, next);
    if (seen === flags) break;
    flags = seen;
  }
  const bit = 1 << (vf & 15);
  let causes = 0;
  if ((value & VFMAILBOX.REQ) !== 0) causes |= bit;
  if ((value & VFMAILBOX.ACK) !== 0) causes |= bit << 16;
  if (causes === 0) return false;
  Atomics.or(words, pfMbicrOffset(vf >> 4) >> 2, causes);
  if ((Atomics.load(words, pfMbimrOffset(vf >> 4) >> 2) & causes) === 0) return false;
  return raisePf(shared, msi, clock, EICR_MAILBOX);
}

/** A write to PFMAILBOX. True if the VF's message waits for its EITR interval. */
export function writePfMailbox(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  vf: number,
  value: number,
): boolean {
  const words = shared.words;
  const word = REGION.mailbox + vf;
  if ((value & PFMAILBOX.RVFU) !== 0) {
    // a stuck VF: what it asked for is forgotten together with its ownership
    Atomics.and(words, pfMbicrOffset(vf >> 4) >> 2, ~(0x1_0001 << (vf & 15)));
  }
  let flags = Atomics.load(words, word);
  for (;;) {
    let next = flags & ~VFMAILBOX.PFU;
    if ((value & PFMAILBOX.RVFU) !== 0) next &= ~VFMAILBOX.VFU;
    if ((value & PFMAILBOX.PFU) !== 0 && (next & VFMAILBOX.VFU) === 0) next |= VFMAILBOX.PFU;
    if ((value & PFMAILBOX.STS) !== 0) next |= VFMAILBOX.PFSTS;
    if ((value & PFMAILBOX.ACK) !== 0) next |= VFMAILBOX.PFACK;
    const seen = Atomics.compareExchange(words, word, flags, next);
    if (seen === flags) break;
    flags = seen;
  }
  return (value & (PFMAILBOX.STS | PFMAILBOX.ACK)) !== 0 && raiseMailbox(shared, msi, clock, vf);
}

/** The VF was reset: it owns nothing and has nothing to fetch. The PF keeps the buffer if it has it. */
export function releaseVfMailbox(shared: NicShared, vf: number): void {
  Atomics.and(shared.words, REGION.mailbox + vf, VFMAILBOX.PFU | VFMAILBOX.RSTI);
}

/** PF reset in progress: every VF sees RSTI until announceResetDone(). */
export function announceReset(shared: NicShared): void {
  for (let vf = 0; vf < MAX_VFS; vf++) Atomics.store(shared.words, REGION.mailbox + vf, VFMAILBOX.RSTI);
}

/** CTRL_EXT.PFRSTD: RSTI becomes RSTD, where it was set (a repeated PFRSTD tells nobody anything). */
export function announceResetDone(shared: NicShared): void {
  for (let vf = 0; vf < MAX_VFS; vf++) {
    const word = REGION.mailbox + vf;
    const old = Atomics.and(shared.words, word, ~VFMAILBOX.RSTI);
    if ((old & VFMAILBOX.RSTI) !== 0) Atomics.or(shared.words, word, VFMAILBOX.RSTD);
  }
}
