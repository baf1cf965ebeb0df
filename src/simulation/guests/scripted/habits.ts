/** What the scripted guest does when nothing is on its agenda: one habit a step, by its character's weights. */
import type { Buffers } from './buffers.js';
import type { Character, Habit } from './character.js';
import { complain } from './complaints.js';
import { count } from './counters.js';
import type { Interrupts } from './interrupts.js';
import type { Mmio } from './mmio.js';
import type { Operations } from './operations.js';
import { PRIVATE_AT, PRIVATE_PAGES } from './places.js';
import type { PrivateList } from './private-list.js';
import type { RxQueue } from './rx-queue.js';
import type { GuestState } from './state.js';
import type { Statistics } from './statistics.js';
import type { TxQueue } from './tx-queue.js';

const PAGE_BYTES = 4096;
const IDLE_MAX_NS = 3_000_000;
const MIN_WAIT_NS = 2_000;
const BUDGETS = [1, 4, 64, 512];
/** An interrupt that is held back comes within its interval; an engine that lost its core takes longer. */
const SILENT_WAIT_NS = 15_000_000;
const MAX_SILENT_WAITS = 4;

export interface HabitParts {
  readonly state: GuestState;
  readonly mmio: Mmio;
  readonly character: Character;
  readonly operations: Operations;
  readonly interrupts: Interrupts;
  readonly statistics: Statistics;
  readonly list: PrivateList;
  readonly buffers: Buffers;
  readonly rx: readonly RxQueue[];
  readonly tx: readonly TxQueue[];
}

/** How long it waits for an interrupt now, ns; null: not at all. */
type WaitNs = number | null;

export class Habits {
  readonly #p: HabitParts;
  readonly #acts: Readonly<Record<Exclude<Habit, 'wait' | 'idle'>, (nowNs: number) => void>>;

  constructor(parts: HabitParts) {
    this.#p = parts;
    const { state, operations, statistics, interrupts, list } = parts;
    this.#acts = {
      receive: () => this.#anyRx().clean(state.pick(BUDGETS)),
      refill: () => this.#anyRx().refillIfDue(),
      send: () => this.#anyTx().send(state.between(1, 5)),
      reapTx: () => this.#anyTx().reap(),
      moveRing: () => operations.moveRxRing(this.#anyQueue()),
      toggleQueue: () => operations.toggleRx(this.#anyQueue()),
      moveTxRing: () => operations.moveTxRing(this.#anyQueue()),
      resetVf: () => operations.setUp(),
      readStatistics: (nowNs) => statistics.read(nowNs),
      maskInterrupts: () => this.#maskOrUnmask(),
      moderate: () => interrupts.moderate(),
      dirtyPages: () => this.#dirtyPages(),
      updateList: () => list.update(),
      walkList: () => list.walk(),
      audit: () => this.#audit(),
    };
  }

  act(nowNs: number): WaitNs {
    const { state } = this.#p;
    if (state.get('silentWaits') > 0) return SILENT_WAIT_NS;
    const habit = this.#choose();
    if (habit === 'wait') return this.#wait();
    if (habit === 'idle') return state.between(MIN_WAIT_NS, IDLE_MAX_NS);
    this.#acts[habit](nowNs);
    return null;
  }

  /** A wait came to its end, and no interrupt: nothing may have been completed meanwhile whose interrupt is armed. */
  nothingCame(): void {
    const { state, rx } = this.#p;
    count(state, 'silentWaits');
    const ring = state.get('sleptEmpty') !== 0 ? rx.findIndex((queue) => queue.hasArrivals) : -1;
    // the message may be on its way, or held back for its interval: it is waited for, and nothing else is done
    const waits = ring < 0 ? 0 : state.get('silentWaits') + 1;
    const isLost = waits > MAX_SILENT_WAITS;
    if (isLost) complain(state, 'interrupt-lost', ring, state.queue('rx', ring, 'toClean'));
    state.set('silentWaits', isLost ? 0 : waits);
    if (ring < 0 || isLost) state.set('sleptEmpty', 0);
  }

  #choose(): Habit {
    const { state, character } = this.#p;
    let left = (state.nextU32() / 4294967296) * character.totalWeight;
    for (const [habit, weight] of character.habits) {
      if (left < weight) return habit;
      left -= weight;
    }
    return 'receive';
  }

  #wait(): WaitNs {
    const { state, character, interrupts, rx } = this.#p;
    // armed first, as a driver does that goes to sleep; it takes effect after this step
    const wasArmed = interrupts.areArmed;
    if (!wasArmed && state.chance(0.7)) interrupts.unmask();
    const sleepsEmpty = wasArmed && !rx.some((queue) => queue.hasArrivals);
    state.set('sleptEmpty', sleepsEmpty && state.chance(0.5) ? 1 : 0);
    return state.between(MIN_WAIT_NS, character.longestWaitUs * 1000);
  }

  #maskOrUnmask(): void {
    const { state, interrupts } = this.#p;
    if (state.chance(0.2)) interrupts.provoke();
    else if (interrupts.areArmed) interrupts.mask();
    else interrupts.unmask();
  }

  /** Stores all over: into its own pages, and beside buffers that the device may be writing to. */
  #dirtyPages(): void {
    const { state, character, buffers, rx } = this.#p;
    for (let i = state.between(1, character.dirtyBurst); i > 0; i--) {
      const free = state.chance(0.3) ? buffers.freeGranule() : 0;
      const page = PRIVATE_AT + state.int(PRIVATE_PAGES) * PAGE_BYTES + PAGE_BYTES / 2;
      const start = free !== 0 ? free : page;
      state.ram.store(start + state.int(256) * 4, state.nextU32());
      count(state, 'pagesDirtied');
    }
    for (const queue of rx) queue.touchCanary();
  }

  #audit(): void {
    const { state, operations } = this.#p;
    const queue = this.#anyQueue();
    switch (state.int(3)) {
      case 0:
        this.#rx(queue).auditOrder();
        break;
      case 1:
        operations.auditHead(queue);
        break;
      default:
        this.#tx(queue).audit();
    }
  }

  #anyQueue(): number {
    return this.#p.state.int(this.#p.character.queues);
  }

  #anyRx(): RxQueue {
    return this.#rx(this.#anyQueue());
  }

  #anyTx(): TxQueue {
    return this.#tx(this.#anyQueue());
  }

  #tx(queue: number): TxQueue {
    return this.#p.tx[queue]!;
  }

  #rx(queue: number): RxQueue {
    return this.#p.rx[queue]!;
  }
}
