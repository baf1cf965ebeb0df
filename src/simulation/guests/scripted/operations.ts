/**
 * The procedures of the scripted guest's driver as rows of small operations, and what each operation does. In an
 * operation all reads come before everything else: one that has to wait is done again from its beginning.
 *
 *   set-up:     reset -> mailbox (RESET, API, frame size, VLAN) -> Tx rings -> Rx rings -> interrupts -> run
 *   move ring:  disable -> (look) -> empty -> program, enable -> (look) -> fill
 */
import { VF } from '../../../hardware/nic/offsets.js';
import { MSIX_ENABLE, PCI } from '../../../hardware/pci/offsets.js';
import { GUEST_VLAN } from '../frame-format.js';
import type { Agenda, Operation } from './agenda.js';
import type { Character } from './character.js';
import { count } from './counters.js';
import type { Interrupts } from './interrupts.js';
import type { Mailbox, MailboxEnd } from './mailbox.js';
import type { Mmio } from './mmio.js';
import { PHASE } from './places.js';
import { INFO_SHIFT, MESSAGE, PSRTYPE, PSRTYPE_TWO_QUEUES, VFCTRL_RESET } from './registers.js';
import type { RxQueue } from './rx-queue.js';
import type { Direction, GuestState } from './state.js';
import type { TxQueue } from './tx-queue.js';

const COMMAND_MEMORY_MASTER = 0x6;
/** The number of mailbox API 1.3. */
const API_1_3 = 4;
const MAX_FRAME_BYTES = 1518;
const POLL_NS = 10_000;
const TRIES_COUNTED = 1000;
/** Before a VF whose PF does not answer is tried again. */
const SET_UP_AGAIN_NS = 5_000_000;

export interface OperationParts {
  readonly state: GuestState;
  readonly mmio: Mmio;
  readonly character: Character;
  readonly agenda: Agenda;
  readonly interrupts: Interrupts;
  readonly mailbox: Mailbox;
  readonly rx: readonly RxQueue[];
  readonly tx: readonly TxQueue[];
}

/** null: done; else to be done again after so many nanoseconds. */
export type RetryNs = number | null;

type Handlers = Readonly<Record<Operation['name'], (a: number, b: number) => RetryNs>>;

export class Operations {
  readonly #p: OperationParts;
  readonly #handlers: Handlers;

  constructor(parts: OperationParts) {
    this.#p = parts;
    const { mailbox, interrupts } = parts;
    const done = (act: () => void): RetryNs => {
      act();
      return null;
    };
    this.#handlers = {
      enableDevice: () => this.#enableDevice(),
      resetVf: () => this.#resetVf(),
      awaitMailbox: () => this.#ended(mailbox.awaitPf()),
      takeMailbox: () => this.#ended(mailbox.take()),
      sendMessage: (message, argument) => this.#ended(mailbox.send(message, argument)),
      awaitReply: () => this.#ended(mailbox.awaitReply()),
      fetchReply: (message) => this.#ended(mailbox.fetch(message)),
      routeInterrupts: () => done(() => interrupts.route()),
      unmask: () => done(() => interrupts.unmask()),
      stopRx: (queue) => done(() => this.#rx(queue).writeDisable()),
      awaitRxStopped: (queue) => this.#await('rx', queue, false),
      emptyRx: (queue, flags) => done(() => empty(this.#rx(queue), flags)),
      programRx: (queue) => done(() => this.#rx(queue).program()),
      awaitRxStarted: (queue) => this.#await('rx', queue, true),
      fillRx: (queue) => done(() => this.#rx(queue).fill(this.#rx(queue).empties)),
      auditHead: (queue) => done(() => this.#rx(queue).audit()),
      startRxAgain: (queue) => done(() => this.#rx(queue).startAgain()),
      stopTx: (queue) => done(() => this.#tx(queue).writeDisable()),
      awaitTxStopped: (queue) => this.#await('tx', queue, false),
      emptyTx: (queue, flags) => done(() => empty(this.#tx(queue), flags)),
      programTx: (queue) => done(() => this.#tx(queue).program()),
      awaitTxStarted: (queue) => this.#await('tx', queue, true),
      auditTxHead: (queue) => done(() => this.#tx(queue).audit()),
      run: () => done(() => parts.state.set('phase', PHASE.running)),
    };
  }

  run({ name, a, b }: Operation): RetryNs {
    return this.#handlers[name](a, b);
  }

  // --- procedures -----------------------------------------------------------------------------------------------------

  /** From a VF in any state to one that receives and sends. */
  setUp(): void {
    const { agenda, state, character } = this.#p;
    count(state, 'setUps');
    agenda.clear();
    state.set('phase', PHASE.settingUp);
    state.set('mailboxTries', 0);
    agenda.add('enableDevice');
    agenda.add('resetVf');
    agenda.add('awaitMailbox');
    this.#ask(MESSAGE.reset, 0);
    this.#ask(MESSAGE.negotiateApi, API_1_3);
    this.#ask(MESSAGE.setMaxFrame, MAX_FRAME_BYTES);
    this.#ask(MESSAGE.setVlan | (1 << INFO_SHIFT), GUEST_VLAN);
    for (let queue = 0; queue < character.queues; queue++) {
      this.#startTx(queue, false);
      this.#startRx(queue, false, SETTLED | DRAW);
    }
    agenda.add('routeInterrupts');
    agenda.add('unmask');
    agenda.add('run');
  }

  /** Another ring, other habits. `blind`: the driver does not look whether the device follows. */
  moveRxRing(queue: number): void {
    const { state, character } = this.#p;
    const blind = !this.#rx(queue).isQuarantined && state.chance(character.blindChance);
    count(state, 'ring-moved');
    this.#startRx(queue, blind, blind ? DRAW : SETTLED | DRAW);
  }

  moveTxRing(queue: number): void {
    const { state, character } = this.#p;
    this.#startTx(queue, !this.#tx(queue).isQuarantined && state.chance(character.blindChance));
  }

  /** The same ring again: from its beginning, or from where it was. */
  toggleRx(queue: number): void {
    const { agenda, state } = this.#p;
    count(state, 'queue-toggled');
    if (state.chance(0.5)) {
      this.#startRx(queue, false, SETTLED);
      return;
    }
    agenda.add('stopRx', queue);
    agenda.add('awaitRxStopped', queue);
    agenda.add('startRxAgain', queue);
    agenda.add('awaitRxStarted', queue);
  }

  #startRx(queue: number, blind: boolean, flags: number): void {
    const { agenda } = this.#p;
    agenda.add('stopRx', queue);
    if (!blind) agenda.add('awaitRxStopped', queue);
    agenda.add('emptyRx', queue, flags);
    agenda.add('programRx', queue);
    if (!blind) agenda.add('awaitRxStarted', queue);
    agenda.add('fillRx', queue);
  }

  /** `blind`: as the stock driver, which does not wait for a Tx queue to stop. */
  #startTx(queue: number, blind: boolean): void {
    const { agenda } = this.#p;
    agenda.add('stopTx', queue);
    if (!blind) agenda.add('awaitTxStopped', queue);
    agenda.add('emptyTx', queue, blind ? DRAW : SETTLED | DRAW);
    agenda.add('programTx', queue);
    agenda.add('awaitTxStarted', queue);
  }

  /** Whatever the head has passed must be written back. */
  auditHead(queue: number): void {
    this.#rx(queue).repeatTail();
    this.#p.agenda.add('auditHead', queue);
  }

  #ask(message: number, argument: number): void {
    const { agenda } = this.#p;
    agenda.add('takeMailbox');
    agenda.add('sendMessage', message, argument);
    agenda.add('awaitReply');
    agenda.add('fetchReply', message);
  }

  // --- operations -----------------------------------------------------------------------------------------------------

  #enableDevice(): RetryNs {
    const { mmio } = this.#p;
    const msix = mmio.readConfig(PCI.MSIX);
    mmio.writeConfig(PCI.COMMAND, COMMAND_MEMORY_MASTER);
    mmio.writeConfig(PCI.MSIX, msix | MSIX_ENABLE);
    return null;
  }

  #resetVf(): RetryNs {
    const { mmio, state, rx, tx, character } = this.#p;
    mmio.write(VF.VTEIMC, 0x7);
    mmio.write(VF.CTRL, VFCTRL_RESET);
    mmio.write(VF.PSRTYPE, PSRTYPE | (character.queues > 1 ? PSRTYPE_TWO_QUEUES : 0));
    count(state, 'vf-reset');
    // the device may still be in the middle of a packet
    for (const queue of [...rx, ...tx]) queue.empty(false);
    return null;
  }

  #await(direction: Direction, queue: number, enabled: boolean): RetryNs {
    const { state } = this.#p;
    const ring = direction === 'rx' ? this.#rx(queue) : this.#tx(queue);
    if (ring.readEnabled() !== enabled) {
      const tries = state.queue(direction, queue, 'tries') + 1;
      state.setQueue(direction, queue, 'tries', tries);
      if (tries % TRIES_COUNTED === 0) count(state, 'enableTimeouts');
      return POLL_NS;
    }
    state.setQueue(direction, queue, 'tries', 0);
    // seen to be off: nothing of it is under way. Seen to be on says nothing of the ring before
    if (!enabled) ring.settled();
    return null;
  }

  #ended(end: MailboxEnd): RetryNs {
    switch (end.kind) {
      case 'done':
        return null;
      case 'again':
        return end.afterNs;
      case 'failed':
        count(this.#p.state, 'mailboxTimeouts');
        this.setUp();
        return SET_UP_AGAIN_NS;
    }
  }

  #tx(queue: number): TxQueue {
    const ring = this.#p.tx[queue];
    if (ring === undefined)
      throw new RangeError(`Tx queue ${queue}: the scripted guest has ${this.#p.tx.length}`);
    return ring;
  }

  #rx(queue: number): RxQueue {
    const ring = this.#p.rx[queue];
    if (ring === undefined)
      throw new RangeError(`Rx queue ${queue}: the scripted guest has ${this.#p.rx.length}`);
    return ring;
  }
}

/** Flags of emptyRx and emptyTx. */
const SETTLED = 1;
const DRAW = 2;

function empty(ring: RxQueue | TxQueue, flags: number): void {
  ring.empty((flags & SETTLED) !== 0);
  if ((flags & DRAW) !== 0) ring.draw();
}
