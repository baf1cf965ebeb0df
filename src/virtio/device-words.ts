/**
 * A network device's registers in shared memory: the vCPU's thread writes them (net-function.ts), the backend's reads them
 * (net-port.ts), the main thread saves and restores them (device-state.ts).
 *
 * Whoever serves the queues, or changes what they mean, holds the lock word: a guest that resets its device may take back
 * the queues' memory at once, so the reset waits for the backend's turn, which is bounded, to end.
 *
 *   guest: reset ---- waits for the lock ----> [registers change] -> unlock
 *   backend: lock -> [one turn of the queues] -> unlock
 */
import { blockThread, type WordWait } from '../hardware/clock.js';
import type { DomainHandle } from '../hardware/iommu/handle.js';
import { QUEUES, VECTORS } from './spec.js';

/** Dwords of configuration space that exist; the rest reads 0. */
export const CONFIG_DWORDS = 64;
/** Words of one queue's registers, from WORD.queues + index * QUEUE_WORDS on. */
export const QUEUE_WORDS = 16;
export const QUEUE_WORD = {
  size: 0,
  vector: 1,
  enabled: 2,
  /** Physical addresses, low and high word: descriptor table, available ring, used ring. */
  descriptors: 3,
  available: 5,
  used: 7,
  /** Index of the next request to take, and of the next used entry: 16 bits each, not modulo the size. */
  taken: 9,
  returned: 10,
} as const;

const DEVICE = CONFIG_DWORDS + VECTORS * 4;
export const WORD = {
  config: 0,
  /** 4 words a vector, as in BAR 3. */
  msixTable: CONFIG_DWORDS,
  msixPending: DEVICE,
  status: DEVICE + 1,
  featureSelect: DEVICE + 2,
  driverFeatureSelect: DEVICE + 3,
  /** What the driver took, two words. */
  driverFeatures: DEVICE + 4,
  configVector: DEVICE + 6,
  queueSelect: DEVICE + 7,
  isr: DEVICE + 8,
  configGeneration: DEVICE + 9,
  queues: DEVICE + 10,
  /** The device's own: what it offers, its address, its link. */
  offered: DEVICE + 10 + QUEUES * QUEUE_WORDS,
  macLow: DEVICE + 11 + QUEUES * QUEUE_WORDS,
  macHigh: DEVICE + 12 + QUEUES * QUEUE_WORDS,
  linkUp: DEVICE + 13 + QUEUES * QUEUE_WORDS,
  /** Longest packet that the guest was told; at most the port's, which stays when another guest's state comes in. */
  mtu: DEVICE + 14 + QUEUES * QUEUE_WORDS,
  portMtu: DEVICE + 15 + QUEUES * QUEUE_WORDS,
  /** 1 while the pages that the backend writes are marked in the log. */
  logging: DEVICE + 16 + QUEUES * QUEUE_WORDS,
  lock: DEVICE + 17 + QUEUES * QUEUE_WORDS,
  /** See STAT, from here on. */
  stats: DEVICE + 18 + QUEUES * QUEUE_WORDS,
} as const;

/** Counters of a device, low 32 bits: only the backend's thread counts. */
export const STAT = {
  txFrames: 0,
  txBytes: 1,
  rxFrames: 2,
  rxBytes: 3,
  /** Frames for this guest that found no buffer. */
  rxNoBuffer: 4,
  /** Frames of this guest that went nowhere: too short, or the wire takes none. */
  txDropped: 5,
  interrupts: 6,
  /** Times that the guest's rings made no sense. */
  breakdowns: 7,
  /** Doorbells rung; counted by the vCPU's thread. */
  notifications: 8,
} as const;
export type DeviceStats = Readonly<Record<keyof typeof STAT, number>>;
const DEVICE_WORDS = WORD.stats + 16;

/** Words of a backend's doorbell: a count, and whether anybody has to be woken for it. */
export const BELL = { rung: 0, asleep: 1 } as const;
export const BELL_BYTES = 8;

/** Everything that threads share of one device. Structured-cloneable. */
export interface VirtioNetHandle {
  readonly words: SharedArrayBuffer;
  /** Of the backend that serves it. */
  readonly bell: SharedArrayBuffer;
  /** Guest RAM as the device reaches it, and the ground truth of what it wrote. */
  readonly domain: DomainHandle;
  /** One byte a page of guest RAM: what the backend wrote while WORD.logging was set. */
  readonly log: SharedArrayBuffer;
}

export const createDeviceWords = (): SharedArrayBuffer => new SharedArrayBuffer(DEVICE_WORDS * 4);

/** Longest single wait for the lock; it is then looked at again. */
const LOCK_WAIT_MS = 50;

export function ringBell(bell: Int32Array): void {
  Atomics.add(bell, BELL.rung, 1);
  if (Atomics.load(bell, BELL.asleep) !== 0) Atomics.notify(bell, BELL.rung);
}

export class DeviceWords {
  readonly i32: Int32Array;
  readonly bell: Int32Array;
  readonly #wait: WordWait;

  constructor(handle: Pick<VirtioNetHandle, 'words' | 'bell'>, wait: WordWait = blockThread) {
    this.i32 = new Int32Array(handle.words);
    this.bell = new Int32Array(handle.bell);
    this.#wait = wait;
  }

  get(word: number): number {
    return Atomics.load(this.i32, word) >>> 0;
  }

  set(word: number, value: number): void {
    Atomics.store(this.i32, word, value | 0);
  }

  queueWord(queue: number, field: number): number {
    return WORD.queues + queue * QUEUE_WORDS + field;
  }

  /** Runs `act` while nobody else serves or changes the device. */
  locked<T>(act: () => T): T {
    while (!this.tryLock()) this.awaitLock(LOCK_WAIT_MS);
    try {
      return act();
    } finally {
      this.unlock();
    }
  }

  /** Until the lock was given back, or somebody else may have it again. */
  awaitLock(limitMs: number): void {
    this.#wait(this.i32, WORD.lock, 1, limitMs);
  }

  tryLock(): boolean {
    return Atomics.compareExchange(this.i32, WORD.lock, 0, 1) === 0;
  }

  unlock(): void {
    Atomics.store(this.i32, WORD.lock, 0);
    Atomics.notify(this.i32, WORD.lock);
  }

  count(stat: number, amount = 1): void {
    const word = WORD.stats + stat;
    this.i32[word] = (this.i32[word]! + amount) | 0;
  }

  stats(): DeviceStats {
    const values = Object.entries(STAT).map(([name, index]) => [name, this.get(WORD.stats + index)]);
    return Object.fromEntries(values) as DeviceStats;
  }
}
