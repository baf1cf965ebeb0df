/**
 * The guest's own data: a circular list whose nodes lie all over its private pages, checked and changed all the time. A
 * page that was lost or is old breaks it.
 *
 *   node (64 bytes): key next value check        check = hash of the other three
 *   state page:      head, length, sum of all values
 */
import { complain } from './complaints.js';
import { count } from './counters.js';
import { PRIVATE_AT, PRIVATE_PAGES } from './places.js';
import type { GuestState } from './state.js';

const NODE_BYTES = 64;
const NODES_PER_PAGE = 32;
const PAGE_BYTES = 4096;
/** The upper half of a private page has no nodes: the page dirtier's. */
const NODES = 192;
const NEXT = 4;
const VALUE = 8;
const CHECK = 12;

export class PrivateList {
  readonly #state: GuestState;

  constructor(state: GuestState) {
    this.#state = state;
  }

  /** Once, on zeroed pages. */
  build(): void {
    const state = this.#state;
    const taken = new Set<number>();
    while (taken.size < NODES) {
      const page = state.int(PRIVATE_PAGES);
      taken.add(PRIVATE_AT + page * PAGE_BYTES + state.int(NODES_PER_PAGE) * NODE_BYTES);
    }
    const nodes = [...taken];
    let sum = 0;
    nodes.forEach((node, i) => {
      const value = state.nextU32() | 0;
      sum = (sum + value) | 0;
      state.ram.store(node, keyOf(node));
      state.ram.store(node + NEXT, nodes[(i + 1) % NODES]!);
      this.#setValue(node, value);
    });
    state.set('listHead', nodes[0]!);
    state.set('listLength', NODES);
    state.set('listSum', sum);
  }

  /** Goes on a few nodes and changes the one it comes to. */
  update(): void {
    const state = this.#state;
    let node = state.get('listHead');
    for (let steps = state.int(16); steps > 0; steps--) {
      if (!this.#isSound(node)) return;
      node = state.ram.load(node + NEXT);
    }
    if (!this.#isSound(node)) return;
    const before = state.ram.load(node + VALUE);
    const after = state.nextU32() | 0;
    this.#setValue(node, after);
    state.set('listSum', (state.get('listSum') + after - before) | 0);
    state.set('listHead', node);
    count(state, 'listUpdates');
  }

  /** Once around. */
  walk(): void {
    const state = this.#state;
    let node = state.get('listHead');
    let sum = 0;
    for (let steps = state.get('listLength'); steps > 0; steps--) {
      if (!this.#isSound(node)) return;
      sum = (sum + state.ram.load(node + VALUE)) | 0;
      node = state.ram.load(node + NEXT);
    }
    if (node !== state.get('listHead')) complain(state, 'list-broken', node, state.get('listHead'), node);
    if (sum !== state.get('listSum')) complain(state, 'list-broken', node, state.get('listSum'), sum);
  }

  #setValue(node: number, value: number): void {
    const { ram } = this.#state;
    ram.store(node + VALUE, value);
    ram.store(node + CHECK, checkOf(node, ram.load(node + NEXT), value));
  }

  #isSound(node: number): boolean {
    const { ram } = this.#state;
    const inside =
      node >= PRIVATE_AT && node < PRIVATE_AT + PRIVATE_PAGES * PAGE_BYTES && node % NODE_BYTES === 0;
    const wanted = inside ? checkOf(node, ram.load(node + NEXT), ram.load(node + VALUE)) : 0;
    const found = inside ? ram.load(node + CHECK) : 0;
    if (inside && ram.load(node) === keyOf(node) && wanted === found) return true;
    complain(this.#state, 'list-broken', node, wanted, found);
    return false;
  }
}

const keyOf = (node: number): number => Math.imul(node, 0x9e3779b1) | 0;
const checkOf = (node: number, next: number, value: number): number =>
  (Math.imul(keyOf(node) ^ next, 0x85ebca6b) + Math.imul(value, 0xc2b2ae35)) | 0;
