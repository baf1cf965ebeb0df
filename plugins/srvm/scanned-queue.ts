/** One Rx queue whose driver rings the device itself: what a look reads of it, and what that proves. */
import { type CoreView, type RegisterWindow, vf82599 } from 'srvm/plugin';
import { mayHaveLapped } from './lap-detector.js';
import { PostedTable } from './posted-table.js';

const { ENABLE, RX, rxRegister } = vf82599;
/** Posted slots whose addresses are compared with what was remembered, each look. */
const PROBES = 4;
const LONGEST_FRAME_BYTES = 9728;

export class ScannedQueue {
  readonly table: PostedTable;
  readonly #bar0: RegisterWindow;
  readonly #at: (offset: number) => number;
  readonly #headRegister: number;
  readonly #tailRegister: number;
  #control = 0;
  #baseLow = 0;
  #baseHigh = 0;
  #ringBytes = 0;
  #srrctl = 0;
  #head = 0;
  #tail = 0;
  #probe = 0;
  /** Slots remembered as posted at the end of the last look. */
  known = 0;
  /** Head motion in the last look. */
  passed = 0;

  constructor(view: CoreView, queue: number) {
    this.table = new PostedTable(view);
    this.#bar0 = view.bar0;
    this.#at = (offset) => rxRegister(queue, offset);
    this.#headRegister = this.#at(RX.RDH);
    this.#tailRegister = this.#at(RX.RDT);
  }

  get running(): boolean {
    return (this.#control & ENABLE) !== 0 && this.table.slots > 0;
  }

  /** Takes the ring as it is. */
  attach(): void {
    this.#readControl();
    this.table.program(this.#baseLow, this.#baseHigh, this.#ringBytes, this.#srrctl);
    this.#tail = this.#bar0.read32(this.#tailRegister);
    const head = this.#bar0.read32(this.#headRegister);
    this.known = 0;
    this.#head = head;
    if (!this.#sane(head, this.#tail)) return;
    this.table.posted(head, this.#tail);
    // what was consumed while it was read was written before tracking began
    this.#head = this.#bar0.read32(this.#headRegister);
    this.known = this.table.distance(this.#head, this.#tail);
  }

  /** One look. False: the queue is not the one that was followed, or not in a state that can be followed. */
  look(): boolean {
    this.passed = 0;
    if (this.#controlChanged()) return this.#reprogrammed();
    if (!this.running) {
      // off then and off now: whatever is done to its registers meanwhile moves no memory
      this.attach();
      // enabled only just now: its ring is whole if nothing was consumed of it yet
      return !this.running || this.#head === 0;
    }
    const tail = this.#bar0.read32(this.#tailRegister);
    const head = this.#bar0.read32(this.#headRegister);
    if (head === this.#head && tail === this.#tail) return true;
    if (!this.#sane(head, tail) || !this.#sane(this.#head, this.#tail)) {
      // a tail outside the ring stops the device; what it did before that is in the head
      return this.#adopt(head, tail);
    }
    const table = this.table;
    this.passed = table.distance(this.#head, head);
    table.passed(this.#head, head);
    if (!this.#isTheKnownRing(head)) return false;
    const fresh = table.distance(this.#tail, tail);
    // a tail that was moved back, or past the head, is no posting a driver makes
    if (this.known - this.passed + fresh >= table.slots) return false;
    table.posted(this.#tail, tail);
    const untouched = fresh === 0 || this.#notReached();
    this.#head = head;
    this.#tail = tail;
    this.known = this.known - this.passed + fresh;
    return untouched;
  }

  /**
   * Whether the slots that were just remembered were still posted when they were read: the device has not come to them
   * yet. The head stays at a packet's first descriptor while the others are written: it may be a packet further.
   */
  #notReached(): boolean {
    const now = this.#bar0.read32(this.#headRegister);
    if (now >= this.table.slots) return false;
    const packetSlots = Math.ceil(LONGEST_FRAME_BYTES / Math.max(1, this.table.packetBytes));
    return this.table.distance(this.#head, now) + packetSlots <= this.known;
  }

  lapped(most: number, least: number, othersPassed: number): boolean {
    // no ring, then and now: packets that no other ring took went to one that came and was gone between two looks
    if (this.table.slots === 0) return least > othersPassed;
    return mayHaveLapped(most, least, this.passed, othersPassed, this.table.slots);
  }

  #sane(head: number, tail: number): boolean {
    return head < this.table.slots && tail < this.table.slots;
  }

  /** Head or tail outside the ring now or before: follow only what cannot have been written to. */
  #adopt(head: number, tail: number): boolean {
    const idle = head === this.#head;
    if (idle) this.attach();
    else this.#tail = tail;
    return idle;
  }

  #readControl(): void {
    const bar0 = this.#bar0;
    this.#control = bar0.read32(this.#at(RX.RXDCTL));
    this.#baseLow = bar0.read32(this.#at(RX.RDBAL));
    this.#baseHigh = bar0.read32(this.#at(RX.RDBAH));
    this.#ringBytes = bar0.read32(this.#at(RX.RDLEN));
    this.#srrctl = bar0.read32(this.#at(RX.SRRCTL));
  }

  #controlChanged(): boolean {
    const bar0 = this.#bar0;
    return (
      bar0.read32(this.#at(RX.RXDCTL)) !== this.#control ||
      bar0.read32(this.#at(RX.RDBAL)) !== this.#baseLow ||
      bar0.read32(this.#at(RX.RDLEN)) !== this.#ringBytes ||
      bar0.read32(this.#at(RX.SRRCTL)) !== this.#srrctl ||
      bar0.read32(this.#at(RX.RDBAH)) !== this.#baseHigh
    );
  }

  /** Registers changed between two looks: what a ring did that was used meanwhile is unknown. */
  #reprogrammed(): boolean {
    const ran = this.running;
    const headBefore = this.#head;
    const slotsBefore = this.table.slots;
    const stopsOnly = this.#onlyDisabled();
    if (stopsOnly) {
      const head = this.#bar0.read32(this.#headRegister);
      this.#readControl();
      if (head < slotsBefore && headBefore < slotsBefore) {
        this.passed = this.table.distance(headBefore, head);
        if (this.passed > 0 && !this.#isTheKnownRing(head)) return false;
        this.table.passed(headBefore, head);
      }
      this.attach();
      // enabled again while this was read: what was consumed since then is unknown
      return !this.running;
    }
    this.attach();
    // a queue that was off at the last look: its ring is whole if nothing was consumed of it yet
    return !ran && this.#head === 0 && this.passed === 0;
  }

  #onlyDisabled(): boolean {
    const control = this.#bar0.read32(this.#at(RX.RXDCTL));
    return (
      (control & ENABLE) === 0 &&
      this.#bar0.read32(this.#at(RX.RDBAL)) === this.#baseLow &&
      this.#bar0.read32(this.#at(RX.RDLEN)) === this.#ringBytes
    );
  }

  /**
   * A ring may be started over with other buffers and leave every register and counter as they would be anyway. What is
   * still posted tells; with nothing of it left, nothing tells whose addresses the consumed slots had.
   */
  #isTheKnownRing(head: number): boolean {
    return (this.passed === 0 || this.passed < this.known) && this.#probesHold(head);
  }

  /** A few posted slots, other ones each look, still hold what was remembered of them. */
  #probesHold(head: number): boolean {
    const table = this.table;
    const left = this.known - this.passed;
    for (let i = 0; i < PROBES && i < left; i++) {
      this.#probe = (this.#probe + 1) % left;
      const slot = (head + this.#probe) % table.slots;
      if (!table.stillPosted(slot) && !this.#consumedSince(head, slot)) return false;
    }
    return true;
  }

  /** Whether the device has meanwhile taken the slot: then its address is gone for a good reason. */
  #consumedSince(head: number, slot: number): boolean {
    const now = this.#bar0.read32(this.#headRegister);
    return this.table.distance(head, now) > this.table.distance(head, slot);
  }
}
