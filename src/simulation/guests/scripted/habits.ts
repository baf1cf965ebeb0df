/** What the scripted guest does when nothing is on its agenda: one habit a step, by its character's weights. */
import type { Buffers } from './buffers.js';
import type { Character, Habit } from './character.js';
import { count } from './counters.js';
import type { Interrupts } from './interrupts.js';
import type { Mmio } from './mmio.js';
import type { Operations } from './operations.js';
import { PRIVATE_AT, PRIVATE_PAGES } from './places.js';
import type { PrivateList } from './private-list.js';
import type { RxQueue } from './rx-queue.js';
import type { GuestState } from './state.js';
import type { Statistics } from './statistics.js';

const PAGE_BYTES = 4096;
const IDLE_MAX_NS = 3_000_000;
const MIN_WAIT_NS = 2_000;
const BUDGETS = [1, 4, 64, 512];

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
}

/** How long it waits for an interrupt now, ns; null: not at all. */
type WaitNs = number | null;

export class Habits {
  readonly #p: HabitParts;

  constructor(parts: HabitParts) {
    this.#p = parts;
  }

  act(nowNs: number): WaitNs {
    const habit = this.#choose();
    switch (habit) {
      case 'receive':
        this.#anyRx().clean(this.#p.state.pick(BUDGETS));
        return null;
      case 'refill':
        this.#anyRx().refillIfDue();
        return null;
      case 'wait':
        return this.#wait();
      case 'idle':
        return this.#p.state.between(MIN_WAIT_NS, IDLE_MAX_NS);
      case 'moveRing':
        this.#p.operations.moveRxRing(this.#anyQueue());
        return null;
      case 'resetVf':
        this.#p.operations.setUp();
        return null;
      case 'readStatistics':
        this.#p.statistics.read(nowNs);
        return null;
      case 'maskInterrupts':
        this.#maskOrUnmask();
        return null;
      case 'moderate':
        this.#p.interrupts.moderate();
        return null;
      case 'dirtyPages':
        this.#dirtyPages();
        return null;
      case 'updateList':
        this.#p.list.update();
        return null;
      case 'walkList':
        this.#p.list.walk();
        return null;
      case 'audit':
        this.#audit();
        return null;
      default:
        return null;
    }
  }

  /** A wait came to its end, and no interrupt. */
  nothingCame(): void {
    count(this.#p.state, 'silentWaits');
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
    const { state, character, interrupts } = this.#p;
    // armed first, as a driver does that goes to sleep
    if (!interrupts.areArmed && state.chance(0.7)) interrupts.unmask();
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
    const ring = this.#rx(queue);
    if (!ring.running) return;
    if (state.chance(0.5)) operations.auditHead(queue);
    else ring.auditOrder();
  }

  #anyQueue(): number {
    return this.#p.state.int(this.#p.character.queues);
  }

  #anyRx(): RxQueue {
    return this.#rx(this.#anyQueue());
  }

  #rx(queue: number): RxQueue {
    return this.#p.rx[queue]!;
  }
}
