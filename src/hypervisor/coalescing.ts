/**
 * Interrupt coalescing by the hypervisor: the interval between two interrupts of a VF's receive vectors, whatever its driver
 * would choose (the driver's own writes of VTEITR are taken and dropped meanwhile).
 *
 *   off        no interval: an interrupt for every batch the card completes
 *   fixed=N    N us
 *   adaptive   as long as the posted buffers last at the packet rate, with a reserve, and never longer than the latency cap:
 *              interval = min(free buffers / (packets per second * RESERVE), LATENCY_CAP_US * receiving guests of each core)
 *
 * Guests that share a core wait for each other before they see a packet, whatever the card does; an interrupt for every packet
 * only makes them change places more often.
 */
import { availableParallelism } from 'node:os';
import type { TimerClock } from '../hardware/clock.js';
import { RX, VF } from '../hardware/nic/offsets.js';
import type { VfBar } from '../hardware/nic/vf-bar.js';
import { BAR_WORD } from './bar-map.js';

export type ItrPolicy =
  | { readonly kind: 'off' }
  | { readonly kind: 'fixed'; readonly us: number }
  | { readonly kind: 'adaptive' };

/** What VTEITR can hold: bits 11:3 of quarters of a microsecond. */
export const MAX_INTERVAL_US = 1022;
/** No packet waits longer for its interrupt where a guest has a core, however few there are and however large the ring is. */
export const LATENCY_CAP_US = 250;
/** Share of the posted buffers that is kept for bursts. */
const RESERVE = 1.2;
const LOOK_EVERY_MS = 10;
const UNITS_PER_US = 4;
const UNITS_MASK = 0xff8;
/** CNT_WDIS: the interval that runs is not disturbed. */
const KEEP_RUNNING = 0x8000_0000;
const IVAR_VALID = 0x80;
const QUEUES = 2;
const BLOCK = 0x40;
const DESCRIPTOR_SHIFT = 4;
const availableCores = availableParallelism();

export interface RingFacts {
  readonly packetsPerSecond: number;
  /** Descriptors that the card may still fill. */
  readonly freeBuffers: number;
  /** Guests for each core, of those that receive; 1 when left out. */
  readonly guestsPerCore?: number;
}

/** The interval in microseconds. */
export function intervalFor(policy: ItrPolicy, facts: RingFacts): number {
  switch (policy.kind) {
    case 'off':
      return 0;
    case 'fixed':
      return Math.min(policy.us, MAX_INTERVAL_US);
    case 'adaptive': {
      const { packetsPerSecond, freeBuffers, guestsPerCore = 1 } = facts;
      if (packetsPerSecond <= 0) return LATENCY_CAP_US;
      const capUs = Math.min(Math.floor(LATENCY_CAP_US * Math.max(guestsPerCore, 1)), MAX_INTERVAL_US);
      const untilEmptyUs = (freeBuffers / (packetsPerSecond * RESERVE)) * 1e6;
      return Math.min(Math.floor(untilEmptyUs), capUs);
    }
  }
}

/** Which VFs received something between their last two looks, of those that live in one time. */
const receivingIn = new WeakMap<TimerClock, Set<InterruptCoalescing>>();

/** @param bar the VF's registers, the guest's mapping aside */
export class InterruptCoalescing {
  readonly #policy: ItrPolicy;
  readonly #bar: VfBar;
  readonly #timers: TimerClock;
  readonly #receiving: Set<InterruptCoalescing>;
  #cancel: (() => void) | null = null;
  #packets: number;
  #lookedAtNs: number;
  readonly #written = new Map<number, number>();

  constructor(policy: ItrPolicy, bar: VfBar, barMap: SharedArrayBuffer, timers: TimerClock) {
    this.#policy = policy;
    this.#bar = bar;
    this.#timers = timers;
    this.#receiving = receivingIn.get(timers) ?? new Set();
    receivingIn.set(timers, this.#receiving);
    this.#packets = this.#read(VF.GPRC);
    this.#lookedAtNs = timers.nowNs();
    Atomics.store(new Int32Array(barMap), BAR_WORD.throttleOwned, 1);
    this.#again();
  }

  stop(): void {
    this.#cancel?.();
    this.#receiving.delete(this);
  }

  #again(): void {
    this.#cancel = this.#timers.after(LOOK_EVERY_MS, () => {
      this.#look();
      this.#again();
    });
  }

  #look(): void {
    const nowNs = this.#timers.nowNs();
    const packets = this.#read(VF.GPRC);
    const seconds = Math.max(nowNs - this.#lookedAtNs, 1) / 1e9;
    const packetsPerSecond = ((packets - this.#packets) >>> 0) / seconds;
    this.#packets = packets;
    this.#lookedAtNs = nowNs;
    if (packetsPerSecond > 0) this.#receiving.add(this);
    else this.#receiving.delete(this);
    const guestsPerCore = this.#receiving.size / availableCores;
    const routes = this.#read(VF.VTIVAR);
    for (let queue = 0; queue < QUEUES; queue++) {
      const route = (routes >>> (16 * queue)) & 0xff;
      const slots = this.#read(rxOffset(queue, RX.RDLEN)) >>> DESCRIPTOR_SHIFT;
      if ((route & IVAR_VALID) === 0 || slots === 0) continue;
      const tail = this.#read(rxOffset(queue, RX.RDT));
      const freeBuffers = (tail - this.#read(rxOffset(queue, RX.RDH)) + slots) % slots;
      this.#set(route & 3, intervalFor(this.#policy, { packetsPerSecond, freeBuffers, guestsPerCore }));
    }
  }

  #set(vector: number, us: number): void {
    const units = (us * UNITS_PER_US) & UNITS_MASK;
    const offset = VF.VTEITR + 4 * vector;
    if (this.#written.get(vector) === units && this.#read(offset) === units) return;
    this.#written.set(vector, units);
    this.#bar.write32(0, offset, (units | KEEP_RUNNING) >>> 0);
  }

  #read(offset: number): number {
    return this.#bar.read32(0, offset);
  }
}

const rxOffset = (queue: number, register: number): number => VF.RX + BLOCK * queue + register;
