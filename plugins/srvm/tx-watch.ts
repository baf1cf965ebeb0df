/**
 * A VF's Tx queues. The device writes little there: status into the ring's own pages, or the head into one word. The
 * pages are marked, as a whole, whenever the head or the packet counter moved. On the way the two contexts of each queue are
 * remembered: the card keeps them where nobody can read them.
 */
import { type CoreView, vf82599 } from 'srvm/plugin';
import { CONTEXT_KNOWN, contextAt } from './shared-words.js';

const { DESCRIPTOR_BYTES, MAX_RING_SLOTS, REG, TX, txRegister } = vf82599;
const TDWBAL_ENABLE = 1;
/** A driver fills this many slots past the tail at most before it moves it: they are not descriptors yet. */
const UNPOSTED_SLOTS = 64;
/** Waiting slots that a look examines for uses of contexts; write-backs wipe them out afterwards. */
const WATCHED_SLOTS = 16;
const BOTH_CONTEXTS = 3;

export class TxWatch {
  readonly #view: CoreView;
  readonly #queues: readonly TxQueue[];
  #sent = -1;

  constructor(view: CoreView) {
    this.#view = view;
    this.#queues = [new TxQueue(view, 0), new TxQueue(view, 1)];
  }

  /** One look. Returns slots that were passed. */
  look(): number {
    const sent = this.#view.bar0.read32(REG.VFGPTC);
    const anySent = sent !== this.#sent;
    this.#sent = sent;
    return this.#queues[0]!.look(anySent) + this.#queues[1]!.look(anySent);
  }

  /** The device stands still: one look that takes nothing for granted. */
  finalLook(): number {
    const passed = this.look();
    for (const queue of this.#queues) queue.finalLook();
    return passed;
  }
}

class TxQueue {
  readonly #view: CoreView;
  readonly #queue: number;
  readonly #headRegister: number;
  #head = -1;
  #base = 0;
  #ringBytes = 0;
  #everMoved = false;
  /** A descriptor asked for a context that was set before anybody looked. */
  #usesUnknown = false;

  constructor(view: CoreView, queue: number) {
    this.#view = view;
    this.#queue = queue;
    this.#headRegister = txRegister(queue, TX.TDH);
  }

  look(anySent: boolean): number {
    const head = this.#view.bar0.read32(this.#headRegister);
    const before = this.#head;
    // A queue whose head was never seen elsewhere is one that the guest does not use: what was sent, the other queue sent.
    // To be wrong, a busy one would have to come round to the same slot at every single look, the last one included.
    if (head === before && !(anySent && this.#everMoved)) {
      this.#watchUses(head);
      return 0;
    }
    this.#everMoved = before >= 0;
    this.#head = head;
    if (before < 0) {
      this.#readRing();
      this.#rememberContexts(head, this.#executedSlots());
      return 0;
    }
    // The counter belongs to both queues and a head can come round to where it was: with any doubt the ring is marked,
    // which is a handful of pages. Should head and counter both come round, the driver has refilled every slot since the
    // last look, and the vCPU's own dirty log has the ring's pages.
    this.#mark();
    this.#readRing();
    this.#mark();
    const slots = this.#slots();
    if (slots === 0) return 0;
    const passed = (head - before + slots) % slots;
    this.#rememberContexts(head, passed);
    this.#watchUses(head);
    return passed;
  }

  finalLook(): void {
    this.#rememberContexts(this.#head, this.#executedSlots());
    this.#watchUses(this.#head);
    if (!this.#usesUnknown) return;
    this.#view.note(
      `Tx queue ${this.#queue} uses a context that was set before tracking began: it cannot be moved`,
    );
  }

  /** How many slots behind the head surely hold what the device executed: not those the driver is filling. */
  #executedSlots(): number {
    const slots = this.#slots();
    if (slots === 0) return 0;
    const tail = this.#view.bar0.read32(txRegister(this.#queue, TX.TDT));
    return Math.max(0, ((this.#head - tail + slots) % slots || slots) - UNPOSTED_SLOTS);
  }

  #slots(): number {
    return Math.min(MAX_RING_SLOTS, Math.floor(this.#ringBytes / DESCRIPTOR_BYTES));
  }

  #readRing(): void {
    const bar0 = this.#view.bar0;
    const high = bar0.read32(txRegister(this.#queue, TX.TDBAH));
    const base = bar0.read32(txRegister(this.#queue, TX.TDBAL));
    const ringBytes = bar0.read32(txRegister(this.#queue, TX.TDLEN));
    const inRam = high === 0 && base + ringBytes <= this.#view.ram.bytes;
    this.#base = base;
    this.#ringBytes = inRam ? ringBytes : 0;
  }

  #mark(): void {
    const { bar0, dirty } = this.#view;
    dirty.markRange(this.#base, this.#ringBytes);
    const writeBack = bar0.read32(txRegister(this.#queue, TX.TDWBAL));
    if ((writeBack & TDWBAL_ENABLE) === 0) return;
    if (bar0.read32(txRegister(this.#queue, TX.TDWBAH)) === 0)
      dirty.markRange(writeBack - (writeBack & 3), 4);
  }

  /** Looks backwards from the head over `count` executed slots for the last descriptor that set each context. */
  #rememberContexts(head: number, count: number): void {
    const words = this.#view.ram.i32;
    const slots = this.#slots();
    const firstWord = this.#base >>> 2;
    let missing = 3;
    let slot = head;
    for (let i = 0; i < count && missing !== 0; i++) {
      slot = (slot === 0 ? slots : slot) - 1;
      const word = firstWord + (slot << 2);
      const index = vf82599.contextIndexAt(words, word);
      if (index < 0 || (missing & (1 << index)) === 0) continue;
      missing &= ~(1 << index);
      const at = contextAt(this.#queue, index);
      const shared = this.#view.shared;
      for (let w = 0; w < 4; w++) shared[at + 1 + w] = words[word + w]!;
      Atomics.store(shared, at, CONTEXT_KNOWN);
    }
  }

  /** Looks at what waits to be sent for a use of a context that nobody saw being set. */
  #watchUses(head: number): void {
    const slots = this.#slots();
    if (slots === 0 || this.#usesUnknown) return;
    const tail = this.#view.bar0.read32(txRegister(this.#queue, TX.TDT));
    if (tail >= slots) return;
    const words = this.#view.ram.i32;
    const firstWord = this.#base >>> 2;
    let known = this.#knownMask();
    let slot = head;
    for (let i = 0; i < WATCHED_SLOTS && slot !== tail && known !== BOTH_CONTEXTS; i++) {
      const word = firstWord + (slot << 2);
      const set = vf82599.contextIndexAt(words, word);
      if (set >= 0) known |= 1 << set;
      const used = vf82599.contextUseAt(words, word);
      if (used >= 0 && (known & (1 << used)) === 0) this.#usesUnknown = true;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
  }

  #knownMask(): number {
    const shared = this.#view.shared;
    return (
      (shared[contextAt(this.#queue, 0)] === CONTEXT_KNOWN ? 1 : 0) |
      (shared[contextAt(this.#queue, 1)] === CONTEXT_KNOWN ? 2 : 0)
    );
  }
}
