/**
 * What the engine remembers of the 128 queues of one direction: where the rings lie in memory and how long they are.
 * All of it is read from registers when a queue is enabled, so nothing here has to be saved.
 *
 * `count` is 0 for every queue that must not be touched: disabled, without a domain, or with a ring that the IOMMU does
 * not map. Hot paths test that one number.
 */
import { FAULT, type IommuDomain } from '../iommu/domain.js';
import { COMMAND_MASTER, PCI } from '../pci/offsets.js';
import { DESCRIPTOR_BYTES } from './descriptors.js';
import { CONFIG_WORDS, type NicShared, QUEUE_COUNT, REGION } from './shared.js';

/** Ring length register: bits 19:7. */
const RING_BYTES_MASK = 0xfff80;

/** Whether a pool's function may put anything on the bus; pools and functions have the same numbers. */
export function isBusMaster(words: Int32Array, pool: number): boolean {
  return (words[REGION.config + pool * CONFIG_WORDS + (PCI.COMMAND >> 2)]! & COMMAND_MASTER) !== 0;
}

interface QueueRegisters {
  readonly base: number;
  readonly baseHigh: number;
  readonly length: number;
  readonly head: number;
  readonly tail: number;
}

export class QueueSet {
  /** Offset of the ring in its domain's memory. */
  readonly base = new Uint32Array(QUEUE_COUNT);
  /** Descriptors in the ring, 0 when the queue is not to be touched. */
  readonly count = new Int32Array(QUEUE_COUNT);
  /** The engine's own copy of the head; the register follows it. */
  readonly head = new Int32Array(QUEUE_COUNT);
  /** Word indices of the head and tail registers. */
  readonly headWord = new Int32Array(QUEUE_COUNT);
  readonly tailWord = new Int32Array(QUEUE_COUNT);
  /** Queues whose interrupt is still to be raised: the first `pendingCount` entries. */
  readonly pending = new Uint8Array(QUEUE_COUNT);
  pendingCount = 0;
  /** Packets that the queue with most of them has waiting for its interrupt. */
  mostWaiting = 0;
  readonly #waiting = new Uint16Array(QUEUE_COUNT);
  readonly #words: Int32Array;
  readonly #domains: readonly (IommuDomain | null)[];
  readonly #block: (queue: number) => number;
  readonly #registers: QueueRegisters;

  constructor(
    shared: NicShared,
    domains: readonly (IommuDomain | null)[],
    block: (queue: number) => number,
    registers: QueueRegisters,
  ) {
    this.#words = shared.words;
    this.#domains = domains;
    this.#block = block;
    this.#registers = registers;
    for (let queue = 0; queue < QUEUE_COUNT; queue++) {
      this.headWord[queue] = (block(queue) + registers.head) >> 2;
      this.tailWord[queue] = (block(queue) + registers.tail) >> 2;
    }
  }

  /** Takes an enabled queue in: its ring is translated once, as a whole, for writing. */
  configure(queue: number): void {
    this.count[queue] = 0;
    const words = this.#words;
    const block = this.#block(queue);
    const domain = this.#domains[queue >> 1] ?? null;
    const ringBytes = words[(block + this.#registers.length) >> 2]! & RING_BYTES_MASK;
    if (domain === null || ringBytes === 0) return;
    const low = words[(block + this.#registers.base) >> 2]! & ~0x7f;
    const high = words[(block + this.#registers.baseHigh) >> 2]!;
    const base = domain.translate(low, high, ringBytes, true);
    if (base === FAULT) return;
    const count = ringBytes / DESCRIPTOR_BYTES;
    const head = words[this.headWord[queue]!]! & 0xffff;
    if (head >= count) return;
    this.base[queue] = base;
    this.head[queue] = head;
    this.count[queue] = count;
  }

  /** Leaves the queue alone until it is configured again. */
  stop(queue: number): void {
    this.count[queue] = 0;
  }

  /** A packet of this queue was written back: its driver is to hear of it. */
  notePending(queue: number): void {
    const waiting = ++this.#waiting[queue]!;
    if (waiting === 1) this.pending[this.pendingCount++] = queue;
    if (waiting > this.mostWaiting) this.mostWaiting = waiting;
  }

  clearPending(): void {
    for (let i = 0; i < this.pendingCount; i++) this.#waiting[this.pending[i]!] = 0;
    this.pendingCount = 0;
    this.mostWaiting = 0;
  }
}
