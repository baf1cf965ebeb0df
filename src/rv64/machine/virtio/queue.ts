/**
 * The device's end of a split virtqueue in guest memory. What the guest wrote there is not trusted: an address outside RAM
 * or a chain that does not end breaks the queue, and the device then asks for a reset.
 *
 *   descriptor table: 16 bytes each (address 8, length 4, flags 2, next 2)
 *   available: flags 2, index 2, ring    used: flags 2, index 2, ring of (id 4, length 4)
 */
import type { GuestRam } from '../guest-ram.js';
import { NO_VECTOR } from '../msix.js';
import { StateFields } from '../state-fields.js';

const VERSION = 1;
export const MAX_QUEUE_SIZE = 256;
const FLAG = { next: 1, write: 2 } as const;
const NO_INTERRUPT = 1;

/** The guest's rings make no sense. */
export class QueueError extends Error {
  override readonly name = 'QueueError';
}

export interface Segment {
  readonly address: number;
  readonly bytes: number;
  /** For the device to write. */
  readonly writable: boolean;
}

/** One request: its buffers in order. */
export interface Chain {
  readonly head: number;
  readonly segments: readonly Segment[];
}

export class VirtQueue {
  size = MAX_QUEUE_SIZE;
  enabled = false;
  vector = NO_VECTOR;
  descriptors = 0;
  available = 0;
  used = 0;
  #taken = 0;
  #returned = 0;
  readonly #ram: GuestRam;

  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  reset(): void {
    this.size = MAX_QUEUE_SIZE;
    this.enabled = false;
    this.vector = NO_VECTOR;
    this.descriptors = this.available = this.used = 0;
    this.#taken = this.#returned = 0;
  }

  /** The next request, or null. @throws QueueError */
  take(): Chain | null {
    if (!this.enabled) return null;
    this.#check(this.available, 4 + 2 * this.size, 'available ring');
    if (this.#ram.u16(this.available + 2) === this.#taken) return null;
    const head = this.#ram.u16(this.available + 4 + 2 * (this.#taken % this.size));
    const chain = { head, segments: this.#follow(head) };
    this.#taken = (this.#taken + 1) & 0xffff;
    return chain;
  }

  /** Gives a request back with so many bytes written. @throws QueueError */
  giveBack(chain: Chain, written: number): void {
    this.#check(this.used, 4 + 8 * this.size, 'used ring');
    const entry = this.used + 4 + 8 * (this.#returned % this.size);
    this.#ram.setU32(entry, chain.head);
    this.#ram.setU32(entry + 4, written);
    this.#returned = (this.#returned + 1) & 0xffff;
    this.#ram.setU16(this.used + 2, this.#returned);
  }

  /** Whether the guest wants to hear of what was given back. */
  get wantsInterrupt(): boolean {
    return this.enabled && (this.#ram.u16(this.available) & NO_INTERRUPT) === 0;
  }

  #follow(head: number): Segment[] {
    const segments: Segment[] = [];
    this.#check(this.descriptors, 16 * this.size, 'descriptor table');
    for (let index = head; ; ) {
      if (index >= this.size) throw new QueueError(`descriptor ${index} of ${this.size}`);
      if (segments.length === this.size) throw new QueueError('a chain without end');
      const at = this.descriptors + 16 * index;
      const address = this.#ram.u64(at);
      const bytes = this.#ram.u32(at + 8);
      const flags = this.#ram.u16(at + 12);
      this.#check(address, bytes, 'buffer');
      segments.push({ address, bytes, writable: (flags & FLAG.write) !== 0 });
      if ((flags & FLAG.next) === 0) return segments;
      index = this.#ram.u16(at + 14);
    }
  }

  #check(address: number, bytes: number, what: string): void {
    if (!this.#ram.holds(address, bytes)) throw new QueueError(`the ${what} at 0x${address.toString(16)}`);
  }

  save() {
    return {
      version: VERSION,
      size: this.size,
      enabled: this.enabled,
      vector: this.vector,
      // addresses have up to 53 bits
      addresses: [this.descriptors, this.available, this.used],
      taken: this.#taken,
      returned: this.#returned,
    };
  }

  restore(where: string, value: unknown): void {
    const fields = new StateFields(`${where}'s queue`, value, VERSION);
    this.size = queueSize(fields.integer('size', 1, MAX_QUEUE_SIZE));
    this.enabled = fields.flag('enabled');
    this.vector = fields.integer('vector', 0, NO_VECTOR);
    const [descriptors, available, used] = fields.words('addresses', 3, Number.MAX_SAFE_INTEGER);
    this.descriptors = descriptors!;
    this.available = available!;
    this.used = used!;
    this.#taken = fields.integer('taken', 0, 0xffff);
    this.#returned = fields.integer('returned', 0, 0xffff);
  }
}

/** The largest power of two that is no larger, 1 to MAX_QUEUE_SIZE. */
export function queueSize(wanted: number): number {
  const bounded = Math.min(Math.max(wanted, 1), MAX_QUEUE_SIZE);
  return 2 ** Math.floor(Math.log2(bounded));
}
