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
/** What a packet may take of a ring, its context included. */
const MOST_SLOTS_PER_PACKET = 41;

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
    const packets = (sent - this.#sent) >>> 0;
    this.#sent = sent;
    return this.#queues[0]!.look(packets) + this.#queues[1]!.look(packets);
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
  /** Address of the head's word in RAM; -1: the head is not written there. */
  #headWord = -1;
  #everMoved = false;
  /** Slots behind the head that this ring's descriptors were taken from, at most all; of one found running: all. */
  #executed = MAX_RING_SLOTS;
  /** A descriptor asked for a context that was set before anybody looked. */
  #usesUnknown = false;
  /**
   * Contexts, a bit each, that may have been set again where nobody looked: what is remembered of them may be old. One that
   * was never seen is another matter: who uses it is seen to (#usesUnknown).
   */
  #unsure = 0;

  constructor(view: CoreView, queue: number) {
    this.#view = view;
    this.#queue = queue;
    this.#headRegister = txRegister(queue, TX.TDH);
  }

  /** @param packets sent by the VF since the last look */
  look(packets: number): number {
    const head = this.#view.bar0.read32(this.#headRegister);
    const before = this.#head;
    if (head === before && packets === 0) {
      this.#markHeadWord();
      this.#watchUses(head);
      return 0;
    }
    const isAnother = this.#readRing();
    this.#markHeadWord();
    if (before < 0) {
      this.#head = head;
      this.#rememberExecuted();
      return 0;
    }
    // A queue whose head was never seen elsewhere is one that the guest does not use: what was sent, the other queue sent.
    // To be wrong, a busy one would have to come round to the same slot at every single look, the last one included.
    if (head === before && !isAnother && !this.#everMoved) {
      this.#watchUses(head);
      return 0;
    }
    this.#everMoved = true;
    this.#head = head;
    // The counter belongs to both queues and a head can come round to where it was: with any doubt the ring is marked,
    // which is a handful of pages. Should head and counter both come round, the driver has refilled every slot since the
    // last look, and the vCPU's own dirty log has the ring's pages.
    this.#mark();
    const slots = this.#slots();
    if (slots === 0) return 0;
    const passed = (head - before + slots) % slots;
    const mayHaveLapped = packets * MOST_SLOTS_PER_PACKET >= passed + slots;
    this.#executed = isAnother ? Math.min(head, slots) : Math.min(slots, this.#executed + passed);
    if (isAnother) this.#lookBack();
    else if (mayHaveLapped) {
      this.#executed = slots;
      this.#rememberContexts(head, passed);
      this.#lookBack();
    } else this.#rememberContexts(head, passed);
    this.#watchUses(head);
    return passed;
  }

  /** The ring may have gone round, or is another one: what was set since the last look may be overwritten, or elsewhere. */
  #lookBack(): void {
    this.#unsure = BOTH_CONTEXTS;
    // what is found here nothing has replaced since
    this.#rememberExecuted();
  }

  finalLook(): void {
    // another ring may have got as far as the one before, and the card counts no packet that it drops
    if (this.#readRing()) {
      this.#mark();
      this.#executed = Math.min(this.#head, this.#slots());
      this.#unsure = BOTH_CONTEXTS;
    }
    this.#rememberExecuted();
    this.#watchUses(this.#head);
    if (this.#usesUnknown) {
      this.#view.note(
        `Tx queue ${this.#queue} uses a context that was set before tracking began: it cannot be moved`,
      );
    } else if ((this.#unsure & this.#knownMask()) !== 0) {
      this.#view.note(
        `Tx queue ${this.#queue} may have been given another context while its ring went round: the last one seen is moved`,
      );
    }
  }

  /**
   * What the slots behind the head say that surely hold what the device executed: not those the driver is filling, nor those
   * that it has not reached since the ring was programmed, where an older ring's descriptors may lie.
   */
  #rememberExecuted(): void {
    const slots = this.#slots();
    if (slots === 0) return;
    const { bar0 } = this.#view;
    // the tail first: by an older head, slots would look executed that were posted anew
    const tail = bar0.read32(txRegister(this.#queue, TX.TDT));
    const head = bar0.read32(this.#headRegister);
    if (head >= slots || tail >= slots) return;
    const untouched = ((head - tail + slots) % slots || slots) - UNPOSTED_SLOTS;
    this.#rememberContexts(head, Math.min(this.#executed, Math.max(0, untouched)));
  }

  #slots(): number {
    return Math.min(MAX_RING_SLOTS, Math.floor(this.#ringBytes / DESCRIPTOR_BYTES));
  }

  /** Returns whether it is another ring than before; that one is marked when it is left. */
  #readRing(): boolean {
    const bar0 = this.#view.bar0;
    const high = bar0.read32(txRegister(this.#queue, TX.TDBAH));
    const base = bar0.read32(txRegister(this.#queue, TX.TDBAL));
    const ringBytes = bar0.read32(txRegister(this.#queue, TX.TDLEN));
    const inRam = high === 0 && base + ringBytes <= this.#view.ram.bytes;
    const usedBytes = inRam ? ringBytes : 0;
    const isAnother = base !== this.#base || usedBytes !== this.#ringBytes;
    const writeBack = bar0.read32(txRegister(this.#queue, TX.TDWBAL));
    const isOn = (writeBack & TDWBAL_ENABLE) !== 0 && bar0.read32(txRegister(this.#queue, TX.TDWBAH)) === 0;
    const headWord = isOn ? writeBack - (writeBack & 3) : -1;
    if (isAnother || headWord !== this.#headWord) this.#mark();
    this.#base = base;
    this.#ringBytes = usedBytes;
    this.#headWord = headWord;
    return isAnother;
  }

  /** Of the ring as it was read last: a driver that programs another one takes the head's word along. */
  #mark(): void {
    const { dirty } = this.#view;
    dirty.markRange(this.#base, this.#ringBytes);
    this.#markHeadWord();
  }

  /**
   * At every look: head, tail and counter may come round to where they were, and nothing then tells that the head's word was
   * written; unlike the ring's pages, the vCPU's own log does not have it. One page, of drivers that ask for it.
   */
  #markHeadWord(): void {
    if (this.#headWord >= 0) this.#view.dirty.markRange(this.#headWord, 4);
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
      this.#unsure &= ~(1 << index);
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
