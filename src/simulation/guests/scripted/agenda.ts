/**
 * What the guest is to do next, in RAM: a ring of small operations. A procedure (bringing the VF up, moving a ring) is a
 * row of them, so that the vCPU can be stopped between any two.
 */
import { AGENDA_AT, AGENDA_ENTRIES } from './places.js';
import type { GuestState } from './state.js';

const ENTRY_BYTES = 16;

/** Numbers as they stand in RAM. */
export const OPERATION = {
  enableDevice: 1,
  resetVf: 2,
  awaitMailbox: 3,
  takeMailbox: 4,
  sendMessage: 5,
  awaitReply: 6,
  fetchReply: 7,
  routeInterrupts: 8,
  unmask: 9,
  stopRx: 10,
  awaitRxStopped: 11,
  emptyRx: 12,
  programRx: 13,
  awaitRxStarted: 14,
  fillRx: 15,
  auditHead: 16,
  stopTx: 17,
  awaitTxStopped: 18,
  emptyTx: 19,
  programTx: 20,
  awaitTxStarted: 21,
  auditTxHead: 23,
  startRxAgain: 24,
  run: 22,
} as const;
export type OperationName = keyof typeof OPERATION;

const NAMES = new Map<number, OperationName>(
  Object.entries(OPERATION).map(([name, number]) => [number, name as OperationName]),
);

export interface Operation {
  readonly name: OperationName;
  readonly a: number;
  readonly b: number;
}

/** An agenda that holds what nobody put there: the page is not the guest's own. */
export class AgendaError extends Error {
  constructor(what: string) {
    super(`the scripted guest's agenda ${what}: its state page was lost`);
    this.name = 'AgendaError';
  }
}

export class Agenda {
  readonly #state: GuestState;

  constructor(state: GuestState) {
    this.#state = state;
  }

  add(name: OperationName, a = 0, b = 0): void {
    const state = this.#state;
    const tail = state.get('agendaTail');
    const next = (tail + 1) % AGENDA_ENTRIES;
    if (next === state.get('agendaHead')) throw new AgendaError('is full');
    const at = AGENDA_AT + tail * ENTRY_BYTES;
    state.ram.store(at, OPERATION[name]);
    state.ram.store(at + 4, a);
    state.ram.store(at + 8, b);
    state.set('agendaTail', next);
  }

  /** The operation to be done now; null: there is none. */
  first(): Operation | null {
    const state = this.#state;
    const head = state.get('agendaHead');
    if (head === state.get('agendaTail')) return null;
    const at = AGENDA_AT + head * ENTRY_BYTES;
    const name = NAMES.get(state.ram.load(at));
    if (name === undefined) throw new AgendaError(`holds an operation ${state.ram.load(at)}`);
    return { name, a: state.ram.load(at + 4), b: state.ram.load(at + 8) };
  }

  /** The first operation is done. */
  next(): void {
    this.#state.set('agendaHead', (this.#state.get('agendaHead') + 1) % AGENDA_ENTRIES);
  }

  clear(): void {
    this.#state.set('agendaHead', this.#state.get('agendaTail'));
  }
}
