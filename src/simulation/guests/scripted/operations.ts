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
import type { GuestState } from './state.js';

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
      awaitRxStopped: (queue) => this.#awaitRx(queue, false),
      emptyRx: (queue, settled) => done(() => this.#emptyRx(queue, settled !== 0)),
      programRx: (queue) => done(() => this.#rx(queue).program()),
      awaitRxStarted: (queue) => this.#awaitRx(queue, true),
      fillRx: (queue) => done(() => this.#rx(queue).fill(this.#rx(queue).empties)),
      auditHead: (queue) => done(() => this.#rx(queue).audit()),
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
      agenda.add('stopRx', queue);
      agenda.add('awaitRxStopped', queue);
      agenda.add('emptyRx', queue, 1);
      agenda.add('programRx', queue);
      agenda.add('awaitRxStarted', queue);
      agenda.add('fillRx', queue);
    }
    agenda.add('routeInterrupts');
    agenda.add('unmask');
    agenda.add('run');
  }

  /** Another ring, other habits. `blind`: the driver does not look whether the device follows. */
  moveRxRing(queue: number): void {
    const { agenda, state, character } = this.#p;
    const blind = !this.#rx(queue).isQuarantined && state.chance(character.blindChance);
    count(state, 'ring-moved');
    agenda.add('stopRx', queue);
    if (!blind) agenda.add('awaitRxStopped', queue);
    agenda.add('emptyRx', queue, blind ? 0 : 1);
    agenda.add('programRx', queue);
    if (!blind) agenda.add('awaitRxStarted', queue);
    agenda.add('fillRx', queue);
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
    const { mmio, state, rx, character } = this.#p;
    mmio.write(VF.VTEIMC, 0x7);
    mmio.write(VF.CTRL, VFCTRL_RESET);
    mmio.write(VF.PSRTYPE, PSRTYPE | (character.queues > 1 ? PSRTYPE_TWO_QUEUES : 0));
    count(state, 'vf-reset');
    // the device may still be in the middle of a packet
    for (const queue of rx) queue.empty(false);
    return null;
  }

  #emptyRx(queue: number, settled: boolean): void {
    const ring = this.#rx(queue);
    ring.empty(settled);
    ring.draw();
  }

  #awaitRx(queue: number, enabled: boolean): RetryNs {
    const { state } = this.#p;
    const ring = this.#rx(queue);
    if (ring.readEnabled() !== enabled) {
      const tries = state.queue('rx', queue, 'tries') + 1;
      state.setQueue('rx', queue, 'tries', tries);
      if (tries % TRIES_COUNTED === 0) count(state, 'enableTimeouts');
      return POLL_NS;
    }
    state.setQueue('rx', queue, 'tries', 0);
    ring.settled();
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

  #rx(queue: number): RxQueue {
    const ring = this.#p.rx[queue];
    if (ring === undefined)
      throw new RangeError(`Rx queue ${queue}: the scripted guest has ${this.#p.rx.length}`);
    return ring;
  }
}
