/**
 * One Tx queue. The device reads Tx buffers and writes status into the ring's own pages, or its head into a word: these are
 * marked as a whole in every round in which something was posted. On the way the two contexts in force are known exactly, as
 * every descriptor passes here before the device has it.
 */
import { vf82599 } from 'srvm/plugin';
import { slotAfter, slotsBetween } from './ring.js';
import { CONTEXT_STRIDE, type QueueView, RETIRED_ROOM, STATE, txWords, TX_WORD as W } from './words.js';

const { CONTEXT_WORDS, CONTEXTS_PER_QUEUE, contextIndexAt, contextUseAt } = vf82599;
const { DESCRIPTOR_BYTES, MAX_RING_SLOTS, TX, txRegister } = vf82599;
const HEAD_WRITE_BACK = 1;
const HEAD_WORD_BYTES = 4;
const KNOWN = 1;
/** A ring that was replaced is marked in the next harvest, and in one more: the device may have had it a little longer. */
const RETIRED_HARVESTS = 2;

export class TxQueue {
  readonly #view: QueueView;
  readonly #queue: number;
  readonly #words: Int32Array;

  constructor(view: QueueView, queue: number) {
    this.#view = view;
    this.#queue = queue;
    this.#words = txWords(view.shared, queue);
  }

  attach(): void {
    const words = this.#words;
    if (words[W.state] !== STATE.unseen) return;
    words[W.state] = STATE.on;
    this.#program();
    const ring = vf82599.frozenTxRing(this.#view, this.#queue);
    if (ring === null) return;
    vf82599.executedContexts(this.#view.ram.i32, ring).forEach((context, index) => {
      if (context !== null) this.#setContext(index, context);
    });
  }

  /** Before the tail's write reaches the device. */
  tailWritten(tail: number): void {
    const words = this.#words;
    this.attach();
    const slots = words[W.slots]!;
    if (tail >= slots) return;
    this.#follow();
    const count = slotsBetween(words[W.tail]!, tail, slots);
    // what is overwritten was executed, whether or not the head's register says so already
    this.#execute(Math.max(0, words[W.outstanding]! + count - (slots - 1)));
    this.#noteContexts(words[W.tail]!, count);
    words[W.outstanding] = words[W.outstanding]! + count;
    words[W.tail] = tail;
    words[W.busy] = 1;
  }

  /** Any other register of the queue: before, and after the write has reached the device. */
  beforeControl(): void {
    this.attach();
    this.#follow();
    this.#retire();
  }

  afterControl(): void {
    this.#program();
  }

  /** Once a round, and when the device was stopped. */
  look(): void {
    const words = this.#words;
    this.attach();
    this.#follow();
    if (words[W.busy] !== 0) this.#markRing();
    words[W.busy] = words[W.outstanding] === 0 ? 0 : 1;
    this.#markRetired();
  }

  context(index: number): vf82599.TxContext {
    const at = W.contexts + index * CONTEXT_STRIDE;
    if (this.#words[at] !== KNOWN) return null;
    return Array.from(this.#words.subarray(at + 1, at + CONTEXT_STRIDE), (word) => word >>> 0);
  }

  /** Whether something that waits to be sent uses a context that was set before anybody looked. */
  usesUnknownContext(): boolean {
    const words = this.#words;
    const { i32 } = this.#view.ram;
    const isKnown = Array.from(
      { length: CONTEXTS_PER_QUEUE },
      (_, index) => words[W.contexts + index * CONTEXT_STRIDE] === KNOWN,
    );
    let slot = words[W.first]!;
    for (let i = 0; i < words[W.outstanding]!; i++) {
      const word = (words[W.base]! + slot * DESCRIPTOR_BYTES) >>> 2;
      const set = contextIndexAt(i32, word);
      if (set >= 0) isKnown[set] = true;
      const used = contextUseAt(i32, word);
      if (used >= 0 && !isKnown[used]) return true;
      slot = slotAfter(slot, words[W.slots]!);
    }
    return false;
  }

  #read(offset: number): number {
    return this.#view.bar0.read32(txRegister(this.#queue, offset));
  }

  #program(): void {
    const words = this.#words;
    const ring = vf82599.frozenTxRing(this.#view, this.#queue);
    words[W.base] = ring?.base ?? 0;
    words[W.slots] = ring === null ? 0 : Math.min(MAX_RING_SLOTS, ring.slots);
    words[W.tail] = ring?.tail ?? 0;
    words[W.first] = ring?.head ?? 0;
    words[W.outstanding] = ring === null ? 0 : slotsBetween(ring.head, ring.tail, ring.slots);
    words[W.busy] = 1;
    const writeBack = this.#read(TX.TDWBAL);
    const isOn = (writeBack & HEAD_WRITE_BACK) !== 0 && this.#read(TX.TDWBAH) === 0;
    words[W.headWord] = isOn ? (writeBack & ~3) | 0 : -1;
    if (ring !== null) this.#noteContexts(ring.head, words[W.outstanding]!);
  }

  /** Takes over the contexts that the head has passed. */
  #follow(): void {
    const words = this.#words;
    const slots = words[W.slots]!;
    if (slots === 0) return;
    const head = this.#read(TX.TDH);
    const passed = slotsBetween(words[W.first]!, head, slots);
    // no head of this ring's: it was reset, and will be programmed anew
    if (head >= slots || passed > words[W.outstanding]!) return;
    this.#execute(passed);
  }

  #execute(count: number): void {
    const words = this.#words;
    let slot = words[W.first]!;
    for (let i = 0; i < count; i++) {
      const at = W.posted + slot * CONTEXT_STRIDE;
      if (words[at] !== 0) this.#setContext(words[at]! - 1, words.subarray(at + 1, at + CONTEXT_STRIDE));
      slot = slotAfter(slot, words[W.slots]!);
    }
    words[W.first] = slot;
    words[W.outstanding] = words[W.outstanding]! - count;
  }

  #setContext(index: number, descriptor: ArrayLike<number>): void {
    const at = W.contexts + index * CONTEXT_STRIDE;
    this.#words[at] = KNOWN;
    for (let i = 0; i < CONTEXT_WORDS; i++) this.#words[at + 1 + i] = descriptor[i]! | 0;
  }

  #noteContexts(from: number, count: number): void {
    const words = this.#words;
    const { i32 } = this.#view.ram;
    let slot = from;
    for (let i = 0; i < count; i++) {
      const word = (words[W.base]! + slot * DESCRIPTOR_BYTES) >>> 2;
      const index = contextIndexAt(i32, word);
      const at = W.posted + slot * CONTEXT_STRIDE;
      words[at] = index + 1;
      if (index >= 0) for (let w = 0; w < CONTEXT_WORDS; w++) words[at + 1 + w] = i32[word + w]!;
      slot = slotAfter(slot, words[W.slots]!);
    }
  }

  #markRing(): void {
    const words = this.#words;
    const { dirty } = this.#view;
    dirty.markRange(words[W.base]!, words[W.slots]! * DESCRIPTOR_BYTES);
    if (words[W.headWord]! >= 0) dirty.markRange(words[W.headWord]!, HEAD_WORD_BYTES);
  }

  /** The ring is about to be another: what the device wrote to this one is not forgotten. */
  #retire(): void {
    const words = this.#words;
    this.#retireRange(words[W.base]!, words[W.slots]! * DESCRIPTOR_BYTES);
    if (words[W.headWord]! >= 0) this.#retireRange(words[W.headWord]!, HEAD_WORD_BYTES);
  }

  #retireRange(address: number, bytes: number): void {
    const words = this.#words;
    if (bytes === 0) return;
    words[W.retiredAge] = RETIRED_HARVESTS;
    const count = words[W.retiredCount]!;
    for (let i = 0; i < count; i++) {
      if (words[W.retired + 2 * i] === address && words[W.retired + 2 * i + 1]! >= bytes) return;
    }
    if (count === RETIRED_ROOM) {
      words[W.doubt] = 1;
      return;
    }
    words[W.retired + 2 * count] = address;
    words[W.retired + 2 * count + 1] = bytes;
    words[W.retiredCount] = count + 1;
  }

  #markRetired(): void {
    const words = this.#words;
    const { dirty } = this.#view;
    for (let i = 0; i < words[W.retiredCount]!; i++) {
      dirty.markRange(words[W.retired + 2 * i]!, words[W.retired + 2 * i + 1]!);
    }
    if (words[W.doubt] !== 0) dirty.markAll();
    if (words[W.retiredAge] === 0) return;
    words[W.retiredAge] = words[W.retiredAge]! - 1;
    if (words[W.retiredAge] !== 0) return;
    words[W.retiredCount] = 0;
    words[W.doubt] = 0;
  }
}
