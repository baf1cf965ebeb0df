/**
 * The PF's half of the mailbox, as the stock PF driver uses it:
 *
 *   receive:  PFU -> words, REQ -> ACK      send:  PFU -> forget this VF's REQ and ACK -> words -> STS
 */

import { PFMAILBOX } from '../hardware/nic/mailbox.js';
import {
  MAILBOX_WORDS,
  mailboxMemoryOffset,
  pfMailboxOffset,
  pfMbicrOffset,
} from '../hardware/nic/offsets.js';
import type { PfBar } from '../hardware/nic/pf-bar.js';

/** Tries at the buffer: a VF in its own critical section lets go within a few accesses. */
const LOCK_TRIES = 100;

export class PfMailbox {
  readonly #bar: PfBar;

  constructor(bar: PfBar) {
    this.#bar = bar;
  }

  hasRequest(vf: number): boolean {
    return (this.#causes(vf) & 1) !== 0;
  }

  hasAcknowledgement(vf: number): boolean {
    return (this.#causes(vf) & 0x1_0000) !== 0;
  }

  clearRequest(vf: number): void {
    this.#bar.write32(0, pfMbicrOffset(vf >> 4), 1 << (vf & 15));
  }

  clearAcknowledgement(vf: number): void {
    this.#bar.write32(0, pfMbicrOffset(vf >> 4), 0x1_0000 << (vf & 15));
  }

  /** The message, its request forgotten; or null while the VF holds the buffer. */
  receive(vf: number): Uint32Array | null {
    if (!this.#lock(vf)) return null;
    const message = new Uint32Array(MAILBOX_WORDS);
    for (let i = 0; i < MAILBOX_WORDS; i++) message[i] = this.#bar.read32(0, mailboxMemoryOffset(vf) + 4 * i);
    // while the buffer is ours: after the ACK the VF may ask again, and that is another request
    this.clearRequest(vf);
    this.#bar.write32(0, pfMailboxOffset(vf), PFMAILBOX.ACK);
    return message;
  }

  /** False: the VF holds the buffer, nothing was sent. */
  send(vf: number, message: Uint32Array, words: number): boolean {
    if (!this.#lock(vf)) return false;
    this.clearRequest(vf);
    this.clearAcknowledgement(vf);
    for (let i = 0; i < words; i++) this.#bar.write32(0, mailboxMemoryOffset(vf) + 4 * i, message[i]!);
    this.#bar.write32(0, pfMailboxOffset(vf), PFMAILBOX.STS);
    return true;
  }

  clearMemory(vf: number): void {
    for (let i = 0; i < MAILBOX_WORDS; i++) this.#bar.write32(0, mailboxMemoryOffset(vf) + 4 * i, 0);
  }

  #causes(vf: number): number {
    return this.#bar.read32(0, pfMbicrOffset(vf >> 4)) >>> (vf & 15);
  }

  #lock(vf: number): boolean {
    for (let i = 0; i < LOCK_TRIES; i++) {
      this.#bar.write32(0, pfMailboxOffset(vf), PFMAILBOX.PFU);
      if ((this.#bar.read32(0, pfMailboxOffset(vf)) & PFMAILBOX.PFU) !== 0) return true;
    }
    return false;
  }
}
