/**
 * The Rx page of BAR0 in shadow: what the guest writes is plain memory until the core carries it to the device.
 *
 *   guest's page 1                core, each turn                          device
 *   RDT ------------------------> read new slots, remember, then --------> RDT
 *   RXDCTL RDBAL RDLEN SRRCTL .-> disable, wait, program, tail, enable --> the same registers
 *   RDH, counters <-------------- copied <-------------------------------- RDH, VFGPRC, VFGORC, VFMPRC
 *
 * Plain memory has no order and no side effects. So: the core keeps what it last left in each word (`#left`), and a word
 * that differs was written by the guest. A queue's words are taken as one snapshot, read until two readings agree, tail
 * last; whatever order the guest used, a ring is carried to the device in the one safe order. The core's own stores are
 * compare-and-exchange: they lose against a newer write of the guest's. A guest that reads back waits for a whole turn
 * (the hypervisor's rule), and a turn waits for the device: a polled ENABLE has settled when the guest sees it.
 *
 * The guest's words are what the device is programmed with when a queue is enabled: registers that a VF reset cleared
 * behind the core's back are simply written again. Such a reset shows as ENABLE gone on the device.
 */
import { type CoreView, type RegisterWindow, vf82599 } from 'srvm/plugin';
import { PostedTable } from './posted-table.js';

const { ENABLE, QUEUES, REG, RX, rxRegister, SOFTWARE_FLUSH } = vf82599;
/** Page of BAR0 that holds the Rx queues. */
export const RX_PAGE = 1;
const PAGE_MASK = 0xfff;
/** Plain read-write registers, in the order in which a ring is programmed. */
const PROGRAM = [RX.RDBAL, RX.RDBAH, RX.RDLEN, RX.DCA_RXCTRL, RX.SRRCTL, RX.RSCCTL] as const;
const COUNTERS = [REG.VFGPRC, REG.VFGORC_LSB, REG.VFGORC_MSB, REG.VFMPRC] as const;
const TAIL_MASK = 0xffff;
/** A turn waits this long for the device to stop or start a queue; the engine may be short of a core. */
const SETTLE_NS = 500_000_000;
/** A guest that writes all the time cannot keep a turn from ending. */
const SNAPSHOT_TRIES = 64;

export class ShadowRelay {
  readonly #view: CoreView;
  readonly #queues: readonly RelayedQueue[];
  readonly #words: Int32Array;
  /** Descriptors found consumed by the last turn. */
  consumed = 0;

  constructor(view: CoreView) {
    this.#view = view;
    this.#words = view.pages.shadow(RX_PAGE);
    this.#queues = Array.from({ length: QUEUES }, (_, q) => new RelayedQueue(view, q, this.#words));
  }

  get descriptors(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.table.descriptors, 0);
  }

  get running(): boolean {
    return this.#queues.some((queue) => queue.running);
  }

  /** Ring programmings that were carried to the device. */
  get programmings(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.programmings, 0);
  }

  get resets(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.resets, 0);
  }

  /** Slots that the device can still consume before the next turn, in the queue that has least. */
  get posted(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues) if (queue.running) least = Math.min(least, queue.posted);
    return least;
  }

  /** From now on the guest's doorbell rings here. No slot is posted that is not remembered. */
  takeOver(): void {
    this.#view.pages.map(RX_PAGE, 'shadow', () => {
      this.#words.fill(0);
      for (const queue of this.#queues) queue.copyRegisters();
      this.#refreshCounters();
    });
    // the device's tails stand still from here on: what is posted now can be read at leisure
    for (const queue of this.#queues) queue.rememberPosted();
  }

  /** After the core's death: the page is mapped, what it last carried over can only be seen on the device. */
  adopt(): void {
    for (const queue of this.#queues) queue.adopt();
  }

  /** Gives the page back to the device, nothing the guest wrote being lost. */
  release(frozen: boolean): void {
    if (this.#view.pages.mappingOf(RX_PAGE) !== 'shadow') return;
    this.#view.pages.map(RX_PAGE, 'direct', () => {
      if (!frozen) for (const queue of this.#queues) queue.relay();
    });
  }

  turn(frozen: boolean): number {
    let work = 0;
    let consumed = 0;
    for (const queue of this.#queues) {
      const tail = queue.readTail();
      consumed += queue.follow();
      if (!frozen) work += queue.relayFrom(tail);
    }
    this.#refreshCounters();
    this.consumed = consumed;
    return work + consumed;
  }

  #refreshCounters(): void {
    const bar0 = this.#view.bar0;
    for (let i = 0; i < COUNTERS.length; i++) {
      // read-only to the guest: what it may have written there is overwritten, as the device would ignore it
      this.#words[(COUNTERS[i]! & PAGE_MASK) >> 2] = bar0.read32(COUNTERS[i]!);
    }
  }
}

class RelayedQueue {
  readonly table: PostedTable;
  readonly #view: CoreView;
  readonly #bar0: RegisterWindow;
  readonly #queue: number;
  readonly #words: Int32Array;
  /** What the core last left in each word of the block. */
  readonly #left = new Int32Array(16);
  /** One consistent reading of the block. */
  readonly #seen = new Int32Array(16);
  readonly #firstWord: number;
  readonly #headRegister: number;
  readonly #tailRegister: number;
  readonly #controlRegister: number;
  #head = 0;
  #tail = 0;
  /** The queue runs on the device, or will when the device gets round to it. */
  #on = false;
  /** The device was seen to run it: if it does not any more, something else stopped it. */
  #settled = false;
  programmings = 0;
  resets = 0;

  constructor(view: CoreView, queue: number, words: Int32Array) {
    this.#view = view;
    this.#bar0 = view.bar0;
    this.#queue = queue;
    this.#words = words;
    this.#firstWord = (rxRegister(queue, 0) & PAGE_MASK) >> 2;
    this.#headRegister = rxRegister(queue, RX.RDH);
    this.#tailRegister = rxRegister(queue, RX.RDT);
    this.#controlRegister = rxRegister(queue, RX.RXDCTL);
    this.table = new PostedTable(view);
  }

  get running(): boolean {
    return this.#on && this.table.slots > 0;
  }

  get posted(): number {
    return this.#sane() ? this.table.distance(this.#head, this.#tail) : 0;
  }

  /** The guest is held out of the page. */
  copyRegisters(): void {
    for (const offset of PROGRAM) this.#leave(offset, this.#read(offset));
    this.#leave(RX.RDH, this.#read(RX.RDH));
    this.#leave(RX.RDT, this.#read(RX.RDT));
    this.#leave(RX.RXDCTL, this.#read(RX.RXDCTL));
    this.#on = this.#settled = (this.#left[RX.RXDCTL >> 2]! & ENABLE) !== 0;
  }

  rememberPosted(): void {
    this.#programTable();
    this.#tail = this.#left[RX.RDT >> 2]!;
    this.#head = this.#read(RX.RDH);
    if (!this.#sane()) return;
    this.table.posted(this.#head, this.#tail);
    // what was consumed while it was read was written before tracking began
    this.#head = this.#read(RX.RDH);
  }

  adopt(): void {
    for (const offset of [...PROGRAM, RX.RDH, RX.RDT, RX.RXDCTL])
      this.#left[offset >> 2] = this.#read(offset);
    this.#on = this.#settled = (this.#left[RX.RXDCTL >> 2]! & ENABLE) !== 0;
    this.#programTable();
    this.#tail = this.#left[RX.RDT >> 2]!;
    this.#head = this.#read(RX.RDH);
  }

  /** Before follow(): every slot that this tail posts anew has been passed by the head that follow() reads. */
  readTail(): number {
    return Atomics.load(this.#words, this.#firstWord + (RX.RDT >> 2));
  }

  /** Marks what the device completed. */
  follow(): number {
    const head = this.#bar0.read32(this.#headRegister);
    const from = this.#head;
    if (head === from) return 0;
    this.#head = head;
    if (this.#on) this.#put(RX.RDH, head);
    const slots = this.table.slots;
    if (head >= slots || from >= slots) return 0;
    this.table.passed(from, head);
    return this.table.distance(from, head);
  }

  relay(): void {
    const tail = this.readTail();
    this.follow();
    this.relayFrom(tail);
  }

  /** Carries what the guest wrote to the device. Returns 1 if there was anything. */
  relayFrom(tail: number): number {
    this.#compareEnable();
    if (this.#controlWritten()) return this.#relayControl();
    if (tail === this.#left[RX.RDT >> 2]!) return 0;
    this.#ring(tail);
    return 1;
  }

  #ring(tail: number): void {
    const to = tail & TAIL_MASK;
    this.#remember(to);
    this.#tail = to;
    this.#bar0.write32(this.#tailRegister, to);
    this.#left[RX.RDT >> 2] = tail;
    if (to !== tail) this.#put(RX.RDT, to);
  }

  #remember(to: number): void {
    const table = this.table;
    const from = this.#tail;
    const head = this.#head;
    if (to >= table.slots || head >= table.slots) return;
    if (from >= table.slots) {
      table.posted(head, to);
    } else if (table.distance(head, to) >= table.distance(head, from)) {
      table.posted(from, to);
    }
    // else the tail was moved back: the device's share shrinks, nothing new is in it
  }

  #controlWritten(): boolean {
    const words = this.#words;
    const left = this.#left;
    const first = this.#firstWord;
    return (
      words[first + (RX.RXDCTL >> 2)] !== left[RX.RXDCTL >> 2] ||
      words[first + (RX.RDBAL >> 2)] !== left[RX.RDBAL >> 2] ||
      words[first + (RX.RDBAH >> 2)] !== left[RX.RDBAH >> 2] ||
      words[first + (RX.RDLEN >> 2)] !== left[RX.RDLEN >> 2] ||
      words[first + (RX.RDH >> 2)] !== left[RX.RDH >> 2] ||
      words[first + (RX.SRRCTL >> 2)] !== left[RX.SRRCTL >> 2] ||
      words[first + (RX.DCA_RXCTRL >> 2)] !== left[RX.DCA_RXCTRL >> 2] ||
      words[first + (RX.RSCCTL >> 2)] !== left[RX.RSCCTL >> 2]
    );
  }

  #relayControl(): number {
    this.#snapshot();
    const seen = this.#seen;
    const wanted = seen[RX.RXDCTL >> 2]!;
    const wantsOn = (wanted & ENABLE) !== 0;
    // a buffer size that changes under a running queue is carried over with the queue stopped, like a new ring
    const ringChanged =
      this.#differs(RX.RDBAL) ||
      this.#differs(RX.RDBAH) ||
      this.#differs(RX.RDLEN) ||
      this.#differs(RX.SRRCTL);
    // a running queue's head is the device's; only a driver that starts the ring over writes 0 there
    const headZeroed = this.#differs(RX.RDH) && seen[RX.RDH >> 2] === 0;
    if (this.#on && (!wantsOn || ringChanged || headZeroed)) this.#switchOff(wanted);
    const starting = wantsOn && !this.#on;
    for (const offset of PROGRAM)
      if (starting || this.#differs(offset)) this.#write(offset, seen[offset >> 2]!);
    if (this.#differs(RX.RDH)) {
      if (!this.#on) this.#bar0.write32(this.#headRegister, seen[RX.RDH >> 2]!);
      this.#settleWord(RX.RDH, this.#read(RX.RDH));
    }
    if (this.#on) {
      if (seen[RX.RDT >> 2] !== this.#left[RX.RDT >> 2]) this.#ring(seen[RX.RDT >> 2]!);
      if (this.#differs(RX.RXDCTL)) this.#write(RX.RXDCTL, wanted);
      return 1;
    }
    this.#ring(seen[RX.RDT >> 2]!);
    if (wantsOn) this.#switchOn(wanted);
    else if (this.#differs(RX.RXDCTL)) this.#write(RX.RXDCTL, wanted);
    return 1;
  }

  #switchOff(wanted: number): void {
    this.#bar0.write32(this.#controlRegister, (wanted & ~ENABLE) >>> 0);
    this.#waitFor(0);
    this.follow();
    this.#on = this.#settled = false;
    this.#settleWord(RX.RXDCTL, this.#read(RX.RXDCTL));
  }

  /** Ring, head and tail are on the device; what is posted is remembered before it can be consumed. */
  #switchOn(wanted: number): void {
    this.#programTable();
    this.#head = this.#read(RX.RDH);
    if (this.#sane()) this.table.posted(this.#head, this.#tail);
    this.#bar0.write32(this.#controlRegister, wanted >>> 0);
    this.#waitFor(ENABLE);
    this.#on = true;
    this.programmings++;
    const control = this.#read(RX.RXDCTL);
    this.#settled = (control & ENABLE) !== 0;
    this.#settleWord(RX.RXDCTL, control);
  }

  /**
   * The device's ENABLE against ours. It can fall without us, by a VF reset on page 0 or a function-level reset; and it
   * can rise late, when the guest or the core set it and the device took its time.
   */
  #compareEnable(): void {
    const control = this.#bar0.read32(this.#controlRegister);
    const enabled = (control & ENABLE) !== 0;
    if (enabled === this.#settled) return;
    if (!enabled) {
      this.resets++;
      this.follow();
    }
    this.#on = this.#settled = enabled;
    this.#put(RX.RXDCTL, control);
  }

  #waitFor(state: number): void {
    const clock = this.#view.clock;
    const endNs = clock.nowNs() + SETTLE_NS;
    while ((this.#bar0.read32(this.#controlRegister) & ENABLE) !== state && clock.nowNs() < endNs);
  }

  #snapshot(): void {
    const seen = this.#seen;
    for (let tries = 0; tries < SNAPSHOT_TRIES; tries++) {
      let agree = true;
      for (let w = 0; w < 16; w++) {
        const value = Atomics.load(this.#words, this.#firstWord + w);
        if (value !== seen[w]) agree = false;
        seen[w] = value;
      }
      if (agree && tries > 0) return;
    }
  }

  #sane(): boolean {
    return this.#head < this.table.slots && this.#tail < this.table.slots;
  }

  #programTable(): void {
    this.table.program(
      this.#read(RX.RDBAL),
      this.#read(RX.RDBAH),
      this.#read(RX.RDLEN),
      this.#read(RX.SRRCTL),
    );
  }

  #differs(offset: number): boolean {
    return this.#seen[offset >> 2] !== this.#left[offset >> 2];
  }

  #read(offset: number): number {
    return this.#bar0.read32(rxRegister(this.#queue, offset));
  }

  /** Carries one word over and shows the guest what the device made of it. */
  #write(offset: number, value: number): void {
    const written = offset === RX.RXDCTL ? value & ~SOFTWARE_FLUSH : value;
    this.#bar0.write32(rxRegister(this.#queue, offset), written >>> 0);
    this.#settleWord(offset, this.#read(offset));
  }

  /** Replaces what the snapshot saw; a newer write of the guest's stays and is seen next turn. */
  #settleWord(offset: number, value: number): void {
    Atomics.compareExchange(this.#words, this.#firstWord + (offset >> 2), this.#seen[offset >> 2]!, value);
    this.#left[offset >> 2] = value;
  }

  /** Replaces what the core left there itself. */
  #put(offset: number, value: number): void {
    Atomics.compareExchange(this.#words, this.#firstWord + (offset >> 2), this.#left[offset >> 2]!, value);
    this.#left[offset >> 2] = value;
  }

  /** The guest is held out: plain store. */
  #leave(offset: number, value: number): void {
    this.#words[this.#firstWord + (offset >> 2)] = value;
    this.#left[offset >> 2] = value;
  }
}
