/**
 * The scripted guest: a driver that is meaner to its VF than any real one, a few small actions a step. Everything it knows
 * lies in its RAM (places.ts), so that it goes on wherever that RAM is, and stumbles over a page that is lost or old.
 *
 *   step:  writes that still wait -> a few times: agenda's next operation (set-up, moving a ring)  -> their writes
 *                                 -> or, if there is none, a habit by the character's weights
 */
import { Agenda } from './agenda.js';
import { Buffers } from './buffers.js';
import { drawCharacter } from './character.js';
import { complain } from './complaints.js';
import { Habits } from './habits.js';
import { Interrupts } from './interrupts.js';
import { Mailbox } from './mailbox.js';
import type { Mmio } from './mmio.js';
import { Operations } from './operations.js';
import { PHASE } from './places.js';
import { PrivateList } from './private-list.js';
import { RxQueue } from './rx-queue.js';
import { type GuestState, QUEUE_NUMBERS } from './state.js';
import { Statistics } from './statistics.js';
import { Traffic } from './traffic.js';
import { TxQueue } from './tx-queue.js';

const MAGIC = 0x5c21_9e57;
/** Chance must not be 0. */
const CHANCE_SALT = 0x2545_f491;
/** Entering the guest, and what one action of it takes besides its register accesses. */
const STEP_NS = 50;
const ACTION_NS = 120;
/** Actions of a step: it can be stopped between two steps only. */
const MOST_ACTIONS = 5;

/** The guest's RAM is not what its registers say: the page with its state was lost, or is an old one. */
export class LostState extends Error {
  constructor(what: string) {
    super(`the scripted guest cannot go on: ${what}`);
    this.name = 'LostState';
  }
}

export interface GuestParts {
  readonly state: GuestState;
  readonly mmio: Mmio;
  /** The guest's clock. */
  nowNs(): number;
  /** Interrupt lines that were raised, and are taken by this. */
  takeInterrupts(): number;
  /** Of the command line; read at the first boot. */
  readonly seed: () => number;
}

export interface GuestStep {
  readonly costNs: number;
  /** It waits for an interrupt, until then by its own clock. */
  readonly waitUntilNs: number | null;
}

export class ScriptedGuest {
  readonly #p: GuestParts;
  readonly #state: GuestState;
  readonly #agenda: Agenda;
  readonly #operations: Operations;
  readonly #habits: Habits;
  readonly #interrupts: Interrupts;

  /** @param stepsBefore how many steps its registers say that it has done; 0: this is its first boot */
  constructor(parts: GuestParts, stepsBefore: number) {
    const { state, mmio } = parts;
    this.#p = parts;
    this.#state = state;
    const boots = stepsBefore === 0;
    if (boots) this.#boot();
    this.#agenda = new Agenda(state);
    const character = drawCharacter(state.get('seed') >>> 0);
    const buffers = new Buffers(state);
    const traffic = new Traffic(state);
    const interrupts = new Interrupts(state, mmio, character);
    const rx = QUEUE_NUMBERS.map(
      (queue) =>
        new RxQueue(queue, {
          state,
          mmio,
          buffers,
          character,
          onFrame: (frame, bytes, slot, buffer) => traffic.take(frame, bytes, slot, buffer),
        }),
    );
    const tx = QUEUE_NUMBERS.map((queue) => new TxQueue(queue, { state, mmio, buffers, character }));
    const shared = { state, mmio, character, agenda: this.#agenda, interrupts, rx, tx, buffers };
    this.#interrupts = interrupts;
    this.#operations = new Operations({ ...shared, mailbox: new Mailbox(state, mmio) });
    this.#habits = new Habits({
      ...shared,
      operations: this.#operations,
      list: new PrivateList(state),
      statistics: new Statistics(state, mmio),
    });
    if (boots) {
      new PrivateList(state).build();
      this.#operations.setUp();
    }
  }

  get steps(): number {
    return this.#state.get('steps');
  }

  /** Whether RAM is what these registers were saved with. */
  static check(state: GuestState, stepsBefore: number): void {
    if (stepsBefore === 0) return;
    if (state.get('magic') !== MAGIC) throw new LostState('its state page is empty');
    const steps = state.get('steps');
    if (steps !== stepsBefore) {
      throw new LostState(`its registers are of step ${stepsBefore}, its state page of step ${steps}`);
    }
  }

  /** Throws WouldWait: to be called again, nothing is lost. */
  step(): GuestStep {
    const { mmio } = this.#p;
    mmio.costNs = STEP_NS;
    this.#state.set('steps', this.steps + 1);
    mmio.carryOut();
    const nowNs = this.#p.nowNs();
    this.#checkClock(nowNs);
    if (this.#stillWaits(nowNs)) return this.#waiting();
    for (let left = this.#state.between(1, MOST_ACTIONS); left > 0; left--) {
      const waitNs = this.#act(nowNs);
      if (waitNs !== null) this.#waitFor(nowNs + waitNs);
      mmio.carryOut();
      if (waitNs !== null) return this.#waiting();
      mmio.costNs += ACTION_NS;
    }
    return { costNs: mmio.costNs, waitUntilNs: null };
  }

  /** One operation, or one habit. Returns how long it waits then; null: not at all. */
  #act(nowNs: number): number | null {
    const operation = this.#agenda.first();
    if (operation === null) return this.#habits.act(nowNs);
    const retryNs = this.#operations.run(operation);
    if (retryNs === null) this.#agenda.next();
    return retryNs;
  }

  #boot(): void {
    const state = this.#state;
    const seed = this.#p.seed();
    state.set('seed', seed);
    state.set('chance', (Math.imul(seed, 0x9e3779b1) ^ CHANCE_SALT) | 1);
    state.set('phase', PHASE.settingUp);
    state.set('magic', MAGIC);
  }

  #waiting(): GuestStep {
    return { costNs: this.#p.mmio.costNs, waitUntilNs: this.#state.getNs('waitUntilNs') };
  }

  #waitFor(untilNs: number): void {
    this.#state.setNs('waitUntilNs', untilNs);
    this.#state.set('waiting', 1);
  }

  #stillWaits(nowNs: number): boolean {
    const state = this.#state;
    const lines = this.#p.takeInterrupts();
    if (lines !== 0) this.#interrupts.taken(lines);
    if (state.get('waiting') === 0) return false;
    if (lines === 0 && nowNs < state.getNs('waitUntilNs')) return true;
    state.set('waiting', 0);
    if (lines === 0 && state.get('phase') === PHASE.running) this.#habits.nothingCame();
    return false;
  }

  #checkClock(nowNs: number): void {
    const state = this.#state;
    const before = state.getNs('lastClockNs');
    if (nowNs < before) complain(state, 'clock-back', Math.ceil((before - nowNs) / 1000));
    state.setNs('lastClockNs', nowNs);
  }
}
