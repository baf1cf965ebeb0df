/**
 * What the rings of a stopped VF still show to whoever did not watch them: the Tx contexts that were set within the last lap,
 * and the pages that write-backs touch.
 */
import type { DeviceView, DirtyMarks } from '../device-view.js';
import { DESCRIPTOR_BYTES, MAX_RING_SLOTS, QUEUES, RX, rxRegister, TX, txRegister } from './registers.js';
import type { TxContexts } from './save.js';
import {
  CONTEXT_WORDS,
  CONTEXTS_PER_QUEUE,
  contextIndexAt,
  contextUseAt,
  type TxContext,
} from './tx-contexts.js';

/** A driver fills this many slots past the tail at most before it moves it: they are not descriptors yet. */
const UNPOSTED_SLOTS = 64;
const HEAD_WRITE_BACK = 1;

/** What a look at rings needs. */
export type RingView = Pick<DeviceView, 'bar0' | 'ram'>;

/** A ring as its registers have it; a part that lies outside guest RAM, the device cannot use. */
export interface FrozenRing {
  readonly base: number;
  readonly slots: number;
  readonly head: number;
  readonly tail: number;
}

export function frozenRxRing(view: RingView, queue: number): FrozenRing | null {
  const read = (offset: number): number => view.bar0.read32(rxRegister(queue, offset));
  return ringOf(view, read(RX.RDBAH), read(RX.RDBAL), read(RX.RDLEN), read(RX.RDH), read(RX.RDT));
}

export function frozenTxRing(view: RingView, queue: number): FrozenRing | null {
  const read = (offset: number): number => view.bar0.read32(txRegister(queue, offset));
  return ringOf(view, read(TX.TDBAH), read(TX.TDBAL), read(TX.TDLEN), read(TX.TDH), read(TX.TDT));
}

function ringOf(
  view: RingView,
  baseHigh: number,
  base: number,
  bytes: number,
  head: number,
  tail: number,
): FrozenRing | null {
  const slots = Math.min(MAX_RING_SLOTS, Math.floor(bytes / DESCRIPTOR_BYTES));
  const isInRam = baseHigh === 0 && base + slots * DESCRIPTOR_BYTES <= view.ram.bytes;
  return slots > 0 && isInRam && head < slots && tail < slots ? { base, slots, head, tail } : null;
}

/** Marks both rings of every queue, and the words that heads are written to: what write-backs touch. */
export function markRings(view: RingView, dirty: DirtyMarks): void {
  for (let q = 0; q < QUEUES; q++) {
    for (const ring of [frozenRxRing(view, q), frozenTxRing(view, q)]) {
      if (ring !== null) dirty.markRange(ring.base, ring.slots * DESCRIPTOR_BYTES);
    }
    const at = view.bar0.read32(txRegister(q, TX.TDWBAL));
    if ((at & HEAD_WRITE_BACK) !== 0 && view.bar0.read32(txRegister(q, TX.TDWBAH)) === 0)
      dirty.markRange(at - (at & 3), 4);
  }
}

/** The contexts in force, as far as the rings tell, and the queues that ask for one which they do not. */
export interface FoundContexts {
  readonly contexts: TxContexts;
  /** Queues with a descriptor waiting that uses a context which was set too long ago to be found. */
  readonly unknown: readonly number[];
}

/** Only while the VF's queues and the guest stand still. */
export function findTxContexts(view: RingView): FoundContexts {
  const contexts: TxContext[][] = [];
  const unknown: number[] = [];
  for (let q = 0; q < QUEUES; q++) {
    const ring = frozenTxRing(view, q);
    const found = ring === null ? [null, null] : executedContexts(view.ram.i32, ring);
    contexts.push(found);
    if (ring !== null && usesUnknown(view.ram.i32, ring, found)) unknown.push(q);
  }
  return { contexts, unknown };
}

/** Backwards from the head over what was surely executed: the last descriptor that set each context. */
export function executedContexts(words: Int32Array, ring: FrozenRing): TxContext[] {
  const { slots, head, tail } = ring;
  const executed = ((head - tail + slots) % slots || slots) - UNPOSTED_SLOTS;
  const found: TxContext[] = new Array(CONTEXTS_PER_QUEUE).fill(null);
  let slot = head;
  for (let i = 0; i < executed; i++) {
    slot = (slot === 0 ? slots : slot) - 1;
    const word = wordOf(ring, slot);
    const index = contextIndexAt(words, word);
    if (index < 0 || found[index] !== null) continue;
    found[index] = Array.from(words.subarray(word, word + CONTEXT_WORDS), (value) => value >>> 0);
  }
  return found;
}

/** Whether something that waits to be sent uses a context that is neither known nor set before it. */
function usesUnknown(words: Int32Array, ring: FrozenRing, found: readonly TxContext[]): boolean {
  const isKnown = found.map((context) => context !== null);
  for (let slot = ring.head; slot !== ring.tail; slot = slot + 1 === ring.slots ? 0 : slot + 1) {
    const word = wordOf(ring, slot);
    const set = contextIndexAt(words, word);
    if (set >= 0) isKnown[set] = true;
    const used = contextUseAt(words, word);
    if (used >= 0 && !isKnown[used]) return true;
  }
  return false;
}

const wordOf = ({ base }: FrozenRing, slot: number): number => (base + slot * DESCRIPTOR_BYTES) >>> 2;
