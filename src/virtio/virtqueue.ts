/**
 * The device's end of a split virtqueue, for one turn under the device's lock. What the guest wrote is hostile: a ring or a
 * buffer outside RAM, an index that jumps, a chain that does not end throws, and the device then asks for a reset.
 *
 *   open -> (peek -> follow the chain -> take -> giveBack)* -> publish
 *
 *   descriptor table: 16 bytes each (address 8, length 4, flags 2, next 2)
 *   available: flags 2, index 2, ring of heads 2      used: flags 2, index 2, ring of (id 4, length 4)
 */
import { type DeviceWords, QUEUE_WORD } from './device-words.js';
import { BrokenRingError, type GuestMemory } from './guest-memory.js';
import { DESCRIPTOR_BYTES, DESCRIPTOR_FLAG, MAX_QUEUE_SIZE, NO_INTERRUPT, NO_NOTIFY } from './spec.js';

const ADDRESS_ALIGNMENT = { descriptors: 16, available: 2, used: 4 } as const;

export class Virtqueue {
  /** The current descriptor of a chain that is followed. */
  address = 0;
  bytes = 0;
  writable = false;
  readonly #words: DeviceWords;
  readonly #memory: GuestMemory;
  readonly #index: number;
  #size = 0;
  #descriptors = 0;
  #available = 0;
  #used = 0;
  #taken = 0;
  #returned = 0;
  #published = 0;
  /** Head that peek() found; where the chain is, and how many descriptors it had. */
  #next = -1;
  #steps = 0;

  constructor(words: DeviceWords, memory: GuestMemory, index: number) {
    this.#words = words;
    this.#memory = memory;
    this.#index = index;
  }

  /** Looks at where the queue lies. False: the driver has not enabled it. @throws BrokenRingError */
  open(): boolean {
    if (this.#word(QUEUE_WORD.enabled) === 0) return false;
    const size = this.#word(QUEUE_WORD.size);
    if (!(size > 0 && size <= MAX_QUEUE_SIZE)) throw new BrokenRingError(`a queue of ${size} entries`);
    this.#size = size;
    this.#descriptors = this.#place('descriptors', DESCRIPTOR_BYTES * size, false);
    this.#available = this.#place('available', 4 + 2 * size, false);
    this.#used = this.#place('used', 4 + 8 * size, true);
    this.#taken = this.#word(QUEUE_WORD.taken);
    this.#returned = this.#published = this.#word(QUEUE_WORD.returned);
    return true;
  }

  /** Whether the driver is to ring for what it makes available. It may ring all the same. */
  wantNotifications(on: boolean): void {
    const flags = on ? 0 : NO_NOTIFY;
    // in guest memory, so it moves with the guest, and is what it is whoever wrote it
    if (this.#memory.u16(this.#used) === flags) return;
    this.#memory.storeIndex(this.#used, flags);
    this.#memory.log(this.#used, 2);
  }

  get vector(): number {
    return this.#word(QUEUE_WORD.vector);
  }

  /** Requests that wait. @throws BrokenRingError when the index is more than a ring ahead */
  get waiting(): number {
    const count = (this.#memory.loadIndex(this.#available + 2) - this.#taken) & 0xffff;
    if (count > this.#size) throw new BrokenRingError(`${count} requests in a queue of ${this.#size}`);
    return count;
  }

  /** Makes the n-th waiting request's first descriptor the current one. There must be so many. */
  peek(ahead = 0): void {
    const slot = (this.#taken + ahead) % this.#size;
    this.#next = this.#memory.u16(this.#available + 4 + 2 * slot);
    this.#steps = 0;
    this.step();
  }

  get atEnd(): boolean {
    return this.#next < 0;
  }

  /** The next descriptor of the chain becomes the current one. */
  step(): void {
    const index = this.#next;
    if (index >= this.#size) throw new BrokenRingError(`descriptor ${index} of ${this.#size}`);
    if (++this.#steps > this.#size) throw new BrokenRingError('a chain without end');
    const at = this.#descriptors + DESCRIPTOR_BYTES * index;
    const memory = this.#memory;
    const flags = memory.u16(at + 12);
    if ((flags & DESCRIPTOR_FLAG.indirect) !== 0)
      throw new BrokenRingError('an indirect table nobody agreed on');
    const bytes = memory.u32(at + 8);
    this.writable = (flags & DESCRIPTOR_FLAG.write) !== 0;
    this.bytes = bytes;
    this.address = memory.place(memory.u32(at), memory.u32(at + 4), bytes, this.writable, 'a buffer');
    this.#next = (flags & DESCRIPTOR_FLAG.next) !== 0 ? memory.u16(at + 14) : -1;
  }

  /** Takes the first waiting request and gives it back with so many bytes written. Not yet seen by the driver: publish(). */
  complete(written: number): void {
    const memory = this.#memory;
    const head = memory.u16(this.#available + 4 + 2 * (this.#taken % this.#size));
    const entry = this.#used + 4 + 8 * (this.#returned % this.#size);
    memory.writeWord(entry, head);
    memory.writeWord(entry + 4, written);
    memory.log(entry, 8);
    this.#taken = (this.#taken + 1) & 0xffff;
    this.#returned = (this.#returned + 1) & 0xffff;
  }

  /** Shows the driver what was given back. True: it wants an interrupt for it. */
  publish(): boolean {
    if (this.#returned === this.#published) return false;
    this.#memory.storeIndex(this.#used + 2, this.#returned);
    this.#memory.log(this.#used + 2, 2);
    this.#published = this.#returned;
    const words = this.#words;
    words.set(words.queueWord(this.#index, QUEUE_WORD.taken), this.#taken);
    words.set(words.queueWord(this.#index, QUEUE_WORD.returned), this.#returned);
    return (this.#memory.loadIndex(this.#available) & NO_INTERRUPT) === 0;
  }

  #word(field: number): number {
    return this.#words.get(this.#words.queueWord(this.#index, field));
  }

  #place(ring: keyof typeof ADDRESS_ALIGNMENT, bytes: number, write: boolean): number {
    const low = this.#word(QUEUE_WORD[ring]);
    const high = this.#word(QUEUE_WORD[ring] + 1);
    if (low % ADDRESS_ALIGNMENT[ring] !== 0) throw new BrokenRingError(`the ${ring} ring is not aligned`);
    return this.#memory.place(low, high, bytes, write, `the ${ring} ring`);
  }
}
