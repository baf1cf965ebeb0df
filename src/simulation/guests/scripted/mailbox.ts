/**
 * The VF's side of the mailbox, legacy protocol, in operations that can be left and gone on with anywhere.
 *
 *   take (VFU) -> send (words, REQ) -> await (PFSTS), take -> fetch (words, ACK)
 *
 * A read of VFMAILBOX clears PFSTS, PFACK and RSTD: what was seen is remembered in RAM. A conversation that the PF does
 * not go on with is given up, and the whole VF set up again, as a driver does.
 */
import { VF } from '../../../hardware/nic/offsets.js';
import { complain } from './complaints.js';
import type { Mmio } from './mmio.js';
import {
  CLEARED_BY_READ,
  FAILURE,
  INFO_SHIFT,
  MAILBOX,
  MESSAGE,
  MESSAGE_MASK,
  SUCCESS,
} from './registers.js';
import type { GuestState } from './state.js';

const TRY_NS = 500_000;
/** A quarter of a second. */
const TRIES = 500;
const MAC_HIGH_MASK = 0xffff;

/** What became of a mailbox operation. */
export type MailboxEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly afterNs: number }
  /** The PF does not answer, or not as it should: from the beginning. */
  | { readonly kind: 'failed' };

const DONE: MailboxEnd = { kind: 'done' };
const AGAIN: MailboxEnd = { kind: 'again', afterNs: TRY_NS };
const FAILED: MailboxEnd = { kind: 'failed' };

export class Mailbox {
  readonly #state: GuestState;
  readonly #mmio: Mmio;

  constructor(state: GuestState, mmio: Mmio) {
    this.#state = state;
    this.#mmio = mmio;
  }

  /** After a reset: until the PF is out of its own. */
  awaitPf(): MailboxEnd {
    const seen = this.#read();
    this.#forget(MAILBOX.resetDone);
    return (seen & (MAILBOX.resetting | MAILBOX.resetDone)) === 0 ? this.#done() : this.#again();
  }

  take(): MailboxEnd {
    this.#mmio.write(VF.MAILBOX, MAILBOX.owned);
    return DONE;
  }

  send(message: number, argument: number): MailboxEnd {
    if ((this.#read() & MAILBOX.owned) === 0) return this.#takeAgain();
    this.#forget(MAILBOX.status | MAILBOX.acknowledged);
    this.#mmio.write(VF.MBMEM, message);
    this.#mmio.write(VF.MBMEM + 4, argument);
    this.#mmio.write(VF.MBMEM + 8, 0);
    this.#mmio.write(VF.MAILBOX, MAILBOX.request);
    return this.#done();
  }

  awaitReply(): MailboxEnd {
    if ((this.#read() & MAILBOX.status) === 0) return this.#again();
    this.#forget(MAILBOX.status);
    this.#mmio.write(VF.MAILBOX, MAILBOX.owned);
    return this.#done();
  }

  fetch(message: number): MailboxEnd {
    if ((this.#read() & MAILBOX.owned) === 0) return this.#takeAgain();
    const words = [0, 4, 8].map((offset) => this.#mmio.read(VF.MBMEM + offset)) as [number, number, number];
    this.#mmio.write(VF.MAILBOX, MAILBOX.acknowledge);
    const [head, low, high] = words;
    if ((head & MESSAGE_MASK) !== (message & MESSAGE_MASK)) return FAILED;
    if ((message & MESSAGE_MASK) === MESSAGE.reset) {
      if ((head & (SUCCESS | FAILURE)) !== SUCCESS) return FAILED;
      this.#learnAddress(low, high & MAC_HIGH_MASK);
    }
    if (message === (MESSAGE.setVlan | (1 << INFO_SHIFT))) {
      this.#state.set('hasVlan', (head & FAILURE) === 0 ? 1 : 0);
    }
    return this.#done();
  }

  #learnAddress(low: number, high: number): void {
    const state = this.#state;
    const known = state.get('macLow') !== 0 || state.get('macHigh') !== 0;
    if (known && (state.get('macLow') !== low || state.get('macHigh') !== high)) {
      complain(state, 'mac-changed', low, high);
    }
    state.set('macLow', low);
    state.set('macHigh', high);
  }

  #read(): number {
    const state = this.#state;
    const bits = this.#mmio.read(VF.MAILBOX) | state.get('mailboxSeen');
    state.set('mailboxSeen', bits & CLEARED_BY_READ);
    return bits;
  }

  #forget(bits: number): void {
    this.#state.set('mailboxSeen', this.#state.get('mailboxSeen') & ~bits);
  }

  #takeAgain(): MailboxEnd {
    this.#mmio.write(VF.MAILBOX, MAILBOX.owned);
    return this.#again();
  }

  #again(): MailboxEnd {
    const tries = this.#state.get('mailboxTries') + 1;
    this.#state.set('mailboxTries', tries < TRIES ? tries : 0);
    return tries < TRIES ? AGAIN : FAILED;
  }

  #done(): MailboxEnd {
    this.#state.set('mailboxTries', 0);
    return DONE;
  }
}
