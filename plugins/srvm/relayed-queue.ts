/**
 * One Rx queue whose registers the guest writes into plain memory, and what the device is told of it.
 *
 *            guest disables, or writes a new ring            device answers
 *   on <------------------------------------- stopping ----------------------> off
 *    ^  '-----------------------------------------^  ^                          |
 *    |                                               |                          | guest enables: program, remember,
 *    '------------ device answers ------------- starting <----------------------'          then ENABLE
 *
 *   on -> off: a VF reset stopped it behind our back.    off -> on: the device carried out late what the guest asked of it
 *   before the page was taken over.
 *
 * `#left` is what the core last left in each shadow word; a word that differs was written by the guest. The core's own
 * stores compare and exchange, so that they lose against a newer write of the guest's.
 */
import { type CoreView, type RegisterWindow, vf82599 } from 'srvm/plugin';
import { PostedTable } from './posted-table.js';
import { SHOWN_HEAD } from './shared-words.js';

const { ENABLE, RX, rxRegister, SOFTWARE_FLUSH } = vf82599;
const PAGE_MASK = 0xfff;
const BLOCK_WORDS = 16;
const TAIL_MASK = 0xffff;
/** Plain read-write registers, in the order in which a ring is programmed. */
const PROGRAM = [RX.RDBAL, RX.RDBAH, RX.RDLEN, RX.DCA_RXCTRL, RX.SRRCTL, RX.RSCCTL] as const;
/** A guest that writes all the time cannot keep a turn from ending. */
const SNAPSHOT_TRIES = 64;

type State = 'off' | 'starting' | 'on' | 'stopping';
const HOPS: Readonly<Record<State, readonly State[]>> = {
  off: ['starting', 'on'],
  starting: ['on', 'stopping'],
  on: ['stopping', 'off'],
  stopping: ['off'],
};

/** A queue that was sent from one state to another that does not follow: a fault of this plugin. */
export class QueueStateError extends Error {
  constructor(queue: number, from: State, to: State) {
    super(`Rx queue ${queue}: it cannot go from ${from} to ${to}`);
    this.name = 'QueueStateError';
  }
}

export class RelayedQueue {
  readonly table: PostedTable;
  readonly #bar0: RegisterWindow;
  readonly #queue: number;
  readonly #words: Int32Array;
  readonly #shared: Int32Array;
  readonly #left = new Int32Array(BLOCK_WORDS);
  /** One consistent reading of the block. */
  readonly #seen = new Int32Array(BLOCK_WORDS);
  readonly #firstWord: number;
  readonly #headRegister: number;
  readonly #tailRegister: number;
  readonly #controlRegister: number;
  #state: State = 'off';
  #head = 0;
  #tail = 0;
  /**
   * The tail has gone past the head: a driver sees the first descriptors of a packet done, and posts their slots anew, while
   * the head stands before them until the last one is written.
   */
  #tailIsPastHead = false;
  /** Times a ring was programmed, and times the device turned out to have been reset. */
  programmings = 0;
  resets = 0;

  /** @param words the shadow page */
  constructor(view: CoreView, queue: number, words: Int32Array) {
    this.#bar0 = view.bar0;
    this.#queue = queue;
    this.#words = words;
    this.#shared = view.shared;
    this.#firstWord = (rxRegister(queue, 0) & PAGE_MASK) >> 2;
    this.#headRegister = rxRegister(queue, RX.RDH);
    this.#tailRegister = rxRegister(queue, RX.RDT);
    this.#controlRegister = rxRegister(queue, RX.RXDCTL);
    this.table = new PostedTable(view);
  }

  get running(): boolean {
    return this.#state === 'on' && this.table.slots > 0;
  }

  /** The device has yet to answer. */
  get unsettled(): boolean {
    return this.#state === 'starting' || this.#state === 'stopping';
  }

  /** The guest is held out of the page: it shows what the device has. */
  copyRegisters(): void {
    this.adopt();
    for (let w = 0; w < BLOCK_WORDS; w++) this.#words[this.#firstWord + w] = this.#left[w]!;
  }

  /** Takes the device's registers for what was last carried over. */
  adopt(): void {
    for (const offset of [...PROGRAM, RX.RDH, RX.RDT, RX.RXDCTL])
      this.#leave(offset >> 2, this.#read(offset));
    this.#state = (this.#left[RX.RXDCTL >> 2]! & ENABLE) !== 0 ? 'on' : 'off';
    this.#tail = this.#left[RX.RDT >> 2]!;
    this.#head = this.#left[RX.RDH >> 2]!;
    this.#programTable();
  }

  /**
   * The same for another core, which died: what it carried over can be seen on the device, the head that it showed cannot,
   * as the device's has moved since.
   */
  adoptFromDead(): void {
    const shown = Atomics.load(this.#shared, SHOWN_HEAD + this.#queue);
    this.adopt();
    this.#leave(RX.RDH >> 2, shown);
  }

  /** The tail on the device moves no more but by us: what is posted now can be read at leisure. */
  rememberPosted(): void {
    this.#head = this.#read(RX.RDH);
    if (this.#sane()) {
      // all of it: with a tail that is past the head, nearly every slot is posted. What else is read here nobody asks for
      this.table.posted(0, this.table.slots);
      // what was consumed while it was read was written before tracking began
      this.#head = this.#read(RX.RDH);
    }
    // the page was copied a moment ago, and follow() shows a head only when it moves
    this.#put(RX.RDH, this.#head);
  }

  /** Before follow(): every slot that this tail posts anew has been passed by the head that follow() reads. */
  readTail(): number {
    return Atomics.load(this.#words, this.#firstWord + (RX.RDT >> 2));
  }

  /** Marks what the device completed. A queue that is off completes nothing; its head may be set to 0. */
  follow(): number {
    if (this.#state === 'off') return 0;
    const head = this.#bar0.read32(this.#headRegister);
    const from = this.#head;
    if (head === from) return 0;
    this.#head = head;
    if (this.#state === 'on') this.#showHead(head, () => this.#controlWritten());
    const slots = this.table.slots;
    if (head >= slots || from >= slots) return 0;
    if (this.table.distance(from, head) > this.table.distance(from, this.#tail)) this.#tailIsPastHead = false;
    this.table.passed(from, head);
    return this.table.distance(from, head);
  }

  /** Carries what the guest wrote to the device. Returns 1 if there was anything. */
  relay(tail: number): number {
    const wasStopping = this.#state === 'stopping';
    this.#compareEnable();
    if (this.#state === 'stopping') return 1;
    if (wasStopping || this.#controlWritten()) {
      this.#relayControl();
      return 1;
    }
    if (tail === this.#left[RX.RDT >> 2]!) return 0;
    this.#ring(tail);
    return 1;
  }

  /** The device's ENABLE against ours. */
  #compareEnable(): void {
    const control = this.#bar0.read32(this.#controlRegister);
    const enabled = (control & ENABLE) !== 0;
    switch (this.#state) {
      case 'on':
        if (enabled) return;
        this.resets++;
        this.follow();
        this.#hop('off');
        this.#showHead(this.#head, () => this.#ringWritten());
        this.#put(RX.RXDCTL, control);
        return;
      case 'stopping':
        if (enabled) return;
        this.follow();
        this.#hop('off');
        this.#showHead(this.#head, () => this.#ringWritten());
        return;
      default:
        if (!enabled) return;
        this.#hop('on');
        this.#put(RX.RXDCTL, control);
        // it may have moved since the queue was started, and follow() shows a head only when it moves
        this.#showHead(this.#head, () => this.#controlWritten());
    }
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
      return;
    }
    const fresh = table.distance(from, to);
    const posted = table.distance(head, from) + (this.#tailIsPastHead ? table.slots : 0);
    const movedBack = table.slots - fresh;
    if (movedBack <= posted && movedBack < fresh) {
      // the device's share shrinks, nothing new is in it
      this.#tailIsPastHead = false;
      return;
    }
    // while it is off, neither head nor tail is of the ring that it will be started with
    if (posted + fresh >= table.slots && this.#state !== 'off') {
      // completed, though the head has not passed them: what they held is forgotten now
      table.passed(this.#tailIsPastHead ? from : head, to);
      this.#tailIsPastHead = true;
    }
    table.posted(from, to);
  }

  /**
   * Shows the guest the head. A 0 that the core left there and a 0 that the guest wrote to start its ring over look the same:
   * one is replaced only while the guest has not begun (it writes the head last), and put back if it has meanwhile.
   */
  #showHead(head: number, hasBegun: () => boolean): void {
    const word = RX.RDH >> 2;
    const wasZero = this.#left[word] === 0;
    if (wasZero && hasBegun()) return;
    this.#put(RX.RDH, head);
    if (!wasZero || !hasBegun()) return;
    this.#leave(word, 0);
    Atomics.compareExchange(this.#words, this.#firstWord + word, head, 0);
  }

  /** The guest has written another ring than the device has. */
  #ringWritten(): boolean {
    const words = this.#words;
    const left = this.#left;
    const first = this.#firstWord;
    return (
      words[first + (RX.RDBAL >> 2)] !== left[RX.RDBAL >> 2] ||
      words[first + (RX.RDBAH >> 2)] !== left[RX.RDBAH >> 2] ||
      words[first + (RX.RDLEN >> 2)] !== left[RX.RDLEN >> 2]
    );
  }

  #controlWritten(): boolean {
    const words = this.#words;
    const left = this.#left;
    const first = this.#firstWord;
    return (
      words[first + (RX.RXDCTL >> 2)] !== left[RX.RXDCTL >> 2] ||
      this.#ringWritten() ||
      words[first + (RX.RDH >> 2)] !== left[RX.RDH >> 2] ||
      words[first + (RX.SRRCTL >> 2)] !== left[RX.SRRCTL >> 2] ||
      words[first + (RX.DCA_RXCTRL >> 2)] !== left[RX.DCA_RXCTRL >> 2] ||
      words[first + (RX.RSCCTL >> 2)] !== left[RX.RSCCTL >> 2]
    );
  }

  #relayControl(): void {
    this.#snapshot();
    // every slot that the snapshot's tail posts anew has been passed by the head that is read now
    this.follow();
    const seen = this.#seen;
    const wanted = seen[RX.RXDCTL >> 2]! & ~SOFTWARE_FLUSH;
    const wantsOn = (wanted & ENABLE) !== 0;
    if (this.#state !== 'off' && (!wantsOn || this.#ringDiffers())) {
      this.#bar0.write32(this.#controlRegister, (wanted & ~ENABLE) >>> 0);
      this.#hop('stopping');
      return;
    }
    if (this.#state !== 'off') {
      if (this.#differs(RX.DCA_RXCTRL)) this.#write(RX.DCA_RXCTRL);
      if (this.#differs(RX.RSCCTL)) this.#write(RX.RSCCTL);
      if (this.#differs(RX.RDH)) this.#settle(RX.RDH, this.#read(RX.RDH));
      if (this.#differs(RX.RDT)) this.#ring(seen[RX.RDT >> 2]!);
      if (this.#differs(RX.RXDCTL)) this.#write(RX.RXDCTL);
      return;
    }
    // the guest's words are what counts, changed or not: a VF reset may have cleared them on the device
    for (const offset of PROGRAM) if (wantsOn || this.#differs(offset)) this.#write(offset);
    // a 0 beside another head on the device is the guest's: what the core shows of a queue that is off is the device's
    const startsOver = seen[RX.RDH >> 2] === 0 && this.#read(RX.RDH) !== 0;
    if (startsOver || this.#differs(RX.RDH)) this.#write(RX.RDH);
    this.#ring(seen[RX.RDT >> 2]!);
    if (wantsOn) this.#start(wanted);
    else this.#write(RX.RXDCTL);
  }

  /**
   * Whether a running queue must be stopped for what the guest wrote: a new ring, another buffer size, or a head of 0,
   * which only a driver writes that starts the ring over.
   */
  #ringDiffers(): boolean {
    return (
      this.#differs(RX.RDBAL) ||
      this.#differs(RX.RDBAH) ||
      this.#differs(RX.RDLEN) ||
      this.#differs(RX.SRRCTL) ||
      (this.#differs(RX.RDH) && this.#seen[RX.RDH >> 2] === 0)
    );
  }

  /** Ring, head and tail are on the device; what is posted is remembered before it can be consumed. */
  #start(wanted: number): void {
    this.#programTable();
    this.#head = this.#read(RX.RDH);
    if (this.#sane()) this.table.posted(this.#head, this.#tail);
    this.#left[RX.RXDCTL >> 2] = this.#seen[RX.RXDCTL >> 2]!;
    this.#bar0.write32(this.#controlRegister, wanted >>> 0);
    this.programmings++;
    this.#hop('starting');
    this.#compareEnable();
  }

  #snapshot(): void {
    const seen = this.#seen;
    for (let tries = 0; tries < SNAPSHOT_TRIES; tries++) {
      let agree = tries > 0;
      for (let w = 0; w < BLOCK_WORDS; w++) {
        const value = Atomics.load(this.#words, this.#firstWord + w);
        if (value !== seen[w]) agree = false;
        seen[w] = value;
      }
      if (agree) return;
    }
  }

  #hop(to: State): void {
    if (!HOPS[this.#state].includes(to)) throw new QueueStateError(this.#queue, this.#state, to);
    this.#state = to;
  }

  #sane(): boolean {
    return this.#head < this.table.slots && this.#tail < this.table.slots;
  }

  #programTable(): void {
    this.#tailIsPastHead = false;
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
  #write(offset: number): void {
    const value = this.#seen[offset >> 2]!;
    const written = offset === RX.RXDCTL ? value & ~SOFTWARE_FLUSH : value;
    this.#bar0.write32(rxRegister(this.#queue, offset), written >>> 0);
    this.#settle(offset, this.#read(offset));
  }

  /** Replaces what the snapshot saw; a newer write of the guest's stays and is seen next turn. */
  #settle(offset: number, value: number): void {
    const word = offset >> 2;
    this.#leave(word, value);
    Atomics.compareExchange(this.#words, this.#firstWord + word, this.#seen[word]!, value);
  }

  /** Replaces what the core left there itself. */
  #put(offset: number, value: number): void {
    const word = offset >> 2;
    const before = this.#left[word]!;
    this.#leave(word, value);
    Atomics.compareExchange(this.#words, this.#firstWord + word, before, value);
  }

  /** Told before it is shown: whoever dies in between has shown a head that is not 0, which means nothing. */
  #leave(word: number, value: number): void {
    this.#left[word] = value;
    if (word === RX.RDH >> 2) Atomics.store(this.#shared, SHOWN_HEAD + this.#queue, value);
  }
}
