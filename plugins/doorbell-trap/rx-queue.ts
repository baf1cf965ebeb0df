/**
 * One Rx queue: what was posted and not seen completed, and what is marked when the head has passed it. No slot reaches the
 * device that is not remembered first, as every write of the tail comes through here.
 *
 *         first                          tail
 *   ..done.|.....outstanding: remembered..|....the driver's....
 *
 *   unseen -> off | on         on -> stopping -> off         off -> on
 *                              on -> off: the VF was reset behind our back; all that was outstanding is marked
 *
 * Where a driver does what makes this uncertain (a tail that runs backwards, a ring replaced while the device still has the
 * old one), all of RAM is marked for two harvests, and the queue is taken up again from what its ring shows.
 */
import { vf82599 } from 'srvm/plugin';
import { slotAfter, slotsBetween } from './ring.js';
import { COUNTER, type QueueView, rxWords, STATE, RX_WORD as W } from './words.js';

const { DESCRIPTOR_BYTES, ENABLE, MAX_RING_SLOTS, RX, rxRegister } = vf82599;

/** An address outside guest RAM: the IOMMU blocks a write there. */
const NOWHERE = -1;
/** A driver may see a slot completed before the head's register says so: it is read again. */
const HEAD_LOOKS = 400;
const DOUBTFUL_HARVESTS = 2;

export class RxQueue {
  readonly #view: QueueView;
  readonly #queue: number;
  readonly #words: Int32Array;

  constructor(view: QueueView, queue: number) {
    this.#view = view;
    this.#queue = queue;
    this.#words = rxWords(view.shared, queue);
  }

  /** The ring as it is found. What completes before this returns, completes before tracking begins. */
  attach(): void {
    const words = this.#words;
    if (words[W.state] !== STATE.unseen) return;
    this.#program();
    words[W.state] = this.#isOn() ? STATE.on : STATE.off;
  }

  /** Before the tail's write reaches the device. */
  tailWritten(tail: number): void {
    const words = this.#words;
    this.attach();
    if (words[W.state] === STATE.off) this.#settle();
    const slots = words[W.slots]!;
    // a tail outside its ring hands over nothing
    if (tail >= slots) return;
    const count = slotsBetween(words[W.tail]!, tail, slots);
    if (words[W.doubt] === 0) this.#makeRoom(count);
    this.#remember(words[W.tail]!, count);
    if (words[W.doubt] === 0) words[W.outstanding] = words[W.outstanding]! + count;
    words[W.tail] = tail;
  }

  /** Any other register of the queue, before the write reaches the device. */
  beforeControl(offset: number, value: number): void {
    const words = this.#words;
    this.attach();
    this.#settle();
    const enables = offset === RX.RXDCTL && (value & ENABLE) !== 0;
    if (offset === RX.RXDCTL && !enables) {
      if (words[W.state] === STATE.on) words[W.state] = STATE.stopping;
      return;
    }
    const replaces = offset === RX.RDBAL || offset === RX.RDBAH || offset === RX.RDLEN || offset === RX.RDH;
    if (replaces && words[W.state] !== STATE.off) this.#doubtful();
    if (!enables || words[W.state] === STATE.on) return;
    if (words[W.state] === STATE.stopping) this.#doubtful();
    this.#program();
    words[W.state] = STATE.on;
  }

  /** After it. */
  afterControl(offset: number, value: number): void {
    if (offset === RX.SRRCTL) this.#widen(value);
  }

  /** Once a round, and before the device is stopped. */
  look(): void {
    this.attach();
    this.#settle();
    this.#payDoubt();
  }

  /** The device was stopped on purpose: the head says exactly what it wrote. */
  finalLook(): void {
    if (this.#words[W.doubt] !== 0) this.#view.dirty.markAll();
    else this.#follow();
  }

  #isOn(): boolean {
    return (this.#read(RX.RXDCTL) & ENABLE) !== 0;
  }

  #read(offset: number): number {
    return this.#view.bar0.read32(rxRegister(this.#queue, offset));
  }

  /** What the device made of the queue meanwhile. */
  #settle(): void {
    const words = this.#words;
    const isOn = this.#isOn();
    if (words[W.state] === STATE.off) {
      if (!isOn) return;
      // asked for before tracking began, carried out late: its ring was remembered all the same
      words[W.state] = STATE.on;
    }
    if (isOn) {
      this.#follow();
      return;
    }
    // a reset may have taken the head away: then nothing tells which of these were written
    const wasAsked = words[W.state] === STATE.stopping;
    if (wasAsked) this.#follow();
    else this.#mark(words[W.first]!, words[W.outstanding]!);
    words[W.outstanding] = 0;
    words[W.state] = STATE.off;
  }

  /** Marks what the head has passed. */
  #follow(): void {
    const words = this.#words;
    if (words[W.doubt] !== 0 || words[W.slots] === 0) return;
    const head = this.#read(RX.RDH);
    const slots = words[W.slots]!;
    const passed = slotsBetween(words[W.first]!, head, slots);
    if (head >= slots || passed > words[W.outstanding]!) {
      // no head of this ring's: it was reset, and is found off, or the guest did what no driver does
      if (this.#isOn()) this.#doubtful();
      else this.#mark(words[W.first]!, words[W.outstanding]!);
      return;
    }
    this.#mark(words[W.first]!, passed);
    words[W.first] = head;
    words[W.outstanding] = words[W.outstanding]! - passed;
    const { shared } = this.#view;
    shared[COUNTER.descriptors] = (shared[COUNTER.descriptors]! + passed) | 0;
  }

  /** The slots that are about to be posted were completed: the head must say so before they are overwritten. */
  #makeRoom(count: number): void {
    const words = this.#words;
    for (let i = 0; i < HEAD_LOOKS; i++) {
      this.#follow();
      if (words[W.doubt] !== 0 || words[W.outstanding]! + count < words[W.slots]!) return;
    }
    this.#doubtful();
  }

  #doubtful(): void {
    const words = this.#words;
    const { shared } = this.#view;
    shared[COUNTER.doubts] = (shared[COUNTER.doubts]! + 1) | 0;
    words[W.doubt] = DOUBTFUL_HARVESTS;
    this.#remember(0, words[W.slots]!);
  }

  #payDoubt(): void {
    const words = this.#words;
    if (words[W.doubt] === 0) return;
    this.#view.dirty.markAll();
    words[W.doubt] = words[W.doubt]! - 1;
    if (words[W.doubt] !== 0) return;
    const slots = words[W.slots]!;
    const head = this.#read(RX.RDH);
    words[W.first] = head < slots ? head : 0;
    words[W.outstanding] = slots === 0 ? 0 : slotsBetween(words[W.first]!, words[W.tail]!, slots);
  }

  /** The ring as the registers have it; what is posted on it is remembered. */
  #program(): void {
    const words = this.#words;
    const slots = Math.min(MAX_RING_SLOTS, Math.floor(this.#read(RX.RDLEN) / DESCRIPTOR_BYTES));
    const inReach = this.#read(RX.RDBAH) === 0;
    const tail = this.#read(RX.RDT);
    const from = this.#read(RX.RDH);
    words[W.base] = inReach ? this.#read(RX.RDBAL) | 0 : NOWHERE;
    words[W.packetBytes] = 0;
    words[W.headerBytes] = 0;
    this.#widen(this.#read(RX.SRRCTL));
    const isSane = tail < slots && from < slots;
    words[W.slots] = slots;
    words[W.tail] = tail < slots ? tail : 0;
    this.#remember(isSane ? from : 0, isSane ? slotsBetween(from, tail, slots) : slots);
    // read again: what was completed while the slots were read is over, its address perhaps gone
    const head = this.#read(RX.RDH);
    words[W.first] = head < slots ? head : 0;
    words[W.outstanding] = head < slots && isSane ? slotsBetween(head, tail, slots) : 0;
  }

  /** Buffer sizes changed under posted slots: the larger of both count until the ring is programmed anew. */
  #widen(srrctl: number): void {
    const words = this.#words;
    words[W.packetBytes] = Math.max(words[W.packetBytes]!, vf82599.packetBufferBytes(srrctl));
    words[W.headerBytes] = Math.max(words[W.headerBytes]!, vf82599.headerBufferBytes(srrctl));
  }

  #remember(from: number, count: number): void {
    const words = this.#words;
    const { i32, bytes } = this.#view.ram;
    const slots = words[W.slots]!;
    const base = words[W.base]!;
    let slot = from;
    for (let i = 0; i < count; i++) {
      const at = base + slot * DESCRIPTOR_BYTES;
      const isReadable = base >= 0 && at + DESCRIPTOR_BYTES <= bytes;
      const word = at >>> 2;
      words[W.packets + slot] = isReadable ? addressAt(i32, word, bytes) : NOWHERE;
      words[W.headers + slot] = isReadable ? addressAt(i32, word + 2, bytes) & ~1 : NOWHERE;
      slot = slotAfter(slot, slots);
    }
  }

  #mark(from: number, count: number): void {
    const words = this.#words;
    const { dirty } = this.#view;
    const slots = words[W.slots]!;
    const packetBytes = words[W.packetBytes]!;
    const headerBytes = words[W.headerBytes]!;
    let slot = from;
    for (let i = 0; i < count; i++) {
      const packet = words[W.packets + slot]!;
      if (packet >= 0) dirty.markRange(packet, packetBytes);
      const header = words[W.headers + slot]!;
      if (headerBytes > 0 && header >= 0) dirty.markRange(header, headerBytes);
      if (words[W.base]! >= 0) dirty.markRange(words[W.base]! + slot * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES);
      slot = slotAfter(slot, slots);
    }
  }
}

/** The address in two words of a descriptor, if it is one of guest RAM. */
function addressAt(words: Int32Array, word: number, ramBytes: number): number {
  const low = words[word]!;
  return words[word + 1] === 0 && low >= 0 && low < ramBytes ? low : NOWHERE;
}
