/**
 * What one Rx ring's slots were posted with. The device destroys a slot's address when it completes it, so the address is
 * remembered while the slot is posted, and its pages are marked when the head has passed it.
 *
 *            head                 seen                tail
 *   ...done...|....remembered......|....to be read.....|...the driver's...
 *             '-> passed(): mark   '-> posted(): remember
 *
 * Both walks run once per descriptor on the extra core: typed arrays in locals, plain reads (the order that matters is
 * made by the register reads around them), no allocation.
 */
import { type CoreView, vf82599 } from 'srvm/plugin';

const { DESCRIPTOR_BYTES, MAX_RING_SLOTS } = vf82599;
const PAGE_SHIFT = 12;
/** Remembered for a slot whose address lies outside guest RAM: the IOMMU blocks such a write, there is nothing to mark. */
const NOWHERE = -1;
/** Bytes 12 and 13 of a completed descriptor. */
const LENGTH_MASK = 0xffff;
const SECOND_LOOKS = 200;

export class PostedTable {
  readonly #words: Int32Array;
  readonly #ramBytes: number;
  readonly #view: CoreView;
  readonly #packets = new Int32Array(MAX_RING_SLOTS);
  readonly #headers = new Int32Array(MAX_RING_SLOTS);
  #slots = 0;
  /** Slots of the ring that lie in guest RAM: the device cannot fetch the others. */
  #readable = 0;
  #base = 0;
  #packetBytes = 0;
  #headerBytes = 0;
  /** Slots completed and marked since the start; what the core's cost is divided by. */
  descriptors = 0;

  constructor(view: CoreView) {
    this.#view = view;
    this.#words = view.ram.i32;
    this.#ramBytes = view.ram.bytes;
  }

  get slots(): number {
    return this.#slots;
  }

  get packetBytes(): number {
    return this.#packetBytes;
  }

  /** A ring was programmed; nothing of it is remembered yet. */
  program(baseLow: number, baseHigh: number, ringBytes: number, srrctl: number): void {
    this.#slots = Math.min(MAX_RING_SLOTS, Math.floor(ringBytes / DESCRIPTOR_BYTES));
    this.#base = baseLow;
    const room = baseHigh === 0 && baseLow < this.#ramBytes ? this.#ramBytes - baseLow : 0;
    this.#readable = Math.min(this.#slots, Math.floor(room / DESCRIPTOR_BYTES));
    this.#packetBytes = 0;
    this.#headerBytes = 0;
    this.widen(srrctl);
  }

  /** Buffer sizes changed under posted slots: the larger of both counts until the ring is programmed anew. */
  widen(srrctl: number): void {
    this.#packetBytes = Math.max(this.#packetBytes, vf82599.packetBufferBytes(srrctl));
    this.#headerBytes = Math.max(this.#headerBytes, vf82599.headerBufferBytes(srrctl));
  }

  distance(from: number, to: number): number {
    const slots = to - from;
    return slots < 0 ? slots + this.#slots : slots;
  }

  /** Remembers slots [from, to), which were posted and not completed when they are read here. */
  posted(from: number, to: number): void {
    if (from <= to) {
      this.#remember(from, to);
    } else {
      this.#remember(from, this.#slots);
      this.#remember(0, to);
    }
  }

  /** Marks what the device wrote for slots [from, to), which it has completed: buffers, and the ring's own pages. */
  passed(from: number, to: number): void {
    if (from === to) return;
    if (from < to) {
      this.#mark(from, to);
    } else {
      this.#mark(from, this.#slots);
      this.#mark(0, to);
    }
    this.descriptors += this.distance(from, to);
  }

  #remember(from: number, to: number): void {
    const words = this.#words;
    const packets = this.#packets;
    const ramBytes = this.#ramBytes;
    const end = Math.min(to, this.#readable);
    let word = (this.#base >>> 2) + (from << 2);
    for (let slot = from; slot < end; slot++, word += 4) {
      const low = words[word]!;
      // low < 0 is an address of 2 GiB or more: guest RAM ends long before
      packets[slot] = words[word + 1] === 0 && low >= 0 && low < ramBytes ? low : NOWHERE;
    }
    for (let slot = Math.max(from, end); slot < to; slot++) packets[slot] = NOWHERE;
    if (this.#headerBytes !== 0) this.#rememberHeaders(from, to);
  }

  #rememberHeaders(from: number, to: number): void {
    const words = this.#words;
    const headers = this.#headers;
    const end = Math.min(to, this.#readable);
    let word = (this.#base >>> 2) + (from << 2) + 2;
    for (let slot = from; slot < end; slot++, word += 4) {
      const low = words[word]! & ~1;
      headers[slot] = words[word + 1] === 0 && low >= 0 && low < this.#ramBytes ? low : NOWHERE;
    }
    for (let slot = Math.max(from, end); slot < to; slot++) headers[slot] = NOWHERE;
  }

  #mark(from: number, to: number): void {
    const dirty = this.#view.dirty;
    const packets = this.#packets;
    const lastByte = this.#packetBytes - 1;
    for (let slot = from; slot < to; slot++) {
      const packet = packets[slot]!;
      if (packet < 0) continue;
      const page = packet >>> PAGE_SHIFT;
      dirty.mark(page);
      const lastPage = (packet + lastByte) >>> PAGE_SHIFT;
      if (lastPage !== page) this.#markFollowing(page, lastPage);
    }
    if (this.#headerBytes !== 0) this.#markHeaders(from, to);
    dirty.markRange(this.#base + from * DESCRIPTOR_BYTES, (to - from) * DESCRIPTOR_BYTES);
  }

  #markHeaders(from: number, to: number): void {
    const dirty = this.#view.dirty;
    const headers = this.#headers;
    const lastByte = this.#headerBytes - 1;
    for (let slot = from; slot < to; slot++) {
      const header = headers[slot]!;
      if (header < 0) continue;
      dirty.mark(header >>> PAGE_SHIFT);
      dirty.mark((header + lastByte) >>> PAGE_SHIFT);
    }
  }

  /**
   * Whether a slot that was remembered as posted is so still, or is being completed; false: it was posted anew behind our
   * back. A completed descriptor has a length, a posted one has none. The device writes the first half first: between
   * the two it is looked at again.
   */
  stillPosted(slot: number): boolean {
    if (slot >= this.#readable) return true;
    const remembered = this.#packets[slot]!;
    if (remembered < 0) return true;
    const words = this.#words;
    const word = (this.#base >>> 2) + (slot << 2);
    for (let i = 0; i < SECOND_LOOKS; i++) {
      if (Atomics.load(words, word) === remembered) return true;
      if ((Atomics.load(words, word + 3) & LENGTH_MASK) !== 0) return true;
    }
    return false;
  }

  #markFollowing(page: number, lastPage: number): void {
    for (let p = page + 1; p <= lastPage; p++) this.#view.dirty.mark(p);
  }
}
