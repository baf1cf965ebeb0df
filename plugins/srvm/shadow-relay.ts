/**
 * The Rx page of BAR0 in shadow: what the guest writes is plain memory until the core carries it to the device.
 *
 *   guest's page 1                core, each turn                          device
 *   RDT ------------------------> read new slots, remember, then --------> RDT
 *   RXDCTL RDBAL RDLEN SRRCTL .-> disable, wait, program, tail, enable --> the same registers
 *   RDH, counters <-------------- copied <-------------------------------- RDH, VFGPRC, VFGORC, VFMPRC
 *
 * Plain memory has no order and no side effects, so a queue's words are taken as one snapshot, read until two readings
 * agree, and whatever order the guest used, a ring is carried to the device in the one safe order (relayed-queue.ts). A
 * guest that reads back waits for a whole turn (the hypervisor's rule), and a turn stays open until the device has
 * answered: a polled ENABLE has settled when the guest sees it. So the page need not go back to trapped while the control
 * path is busy.
 */
import { type CoreView, vf82599 } from 'srvm/plugin';
import { RelayedQueue } from './relayed-queue.js';
import { TRACKING, TRACKING_WORD } from './shared-words.js';

const { QUEUES, REG } = vf82599;
/** Page of BAR0 that holds the Rx queues. */
export const RX_PAGE = 1;
const PAGE_MASK = 0xfff;
const COUNTERS = [REG.VFGPRC, REG.VFGORC_LSB, REG.VFGORC_MSB, REG.VFMPRC] as const;
/** A turn stays open this long for the device to stop or start a queue; its engine may be short of a core. */
const OPEN_NS = 500_000_000;
/** The device is asked this often, while the guest is held, to settle what was written last. */
const RELEASE_POLLS = 50;

export class ShadowRelay {
  readonly #view: CoreView;
  readonly #first: RelayedQueue;
  readonly #second: RelayedQueue;
  readonly #queues: readonly RelayedQueue[];
  readonly #words: Int32Array;
  #openSinceNs = -1;
  /** Descriptors found consumed by the last turn. */
  consumed = 0;

  constructor(view: CoreView) {
    this.#view = view;
    this.#words = view.pages.shadow(RX_PAGE);
    this.#queues = Array.from({ length: QUEUES }, (_, q) => new RelayedQueue(view, q, this.#words));
    [this.#first, this.#second] = this.#queues as [RelayedQueue, RelayedQueue];
  }

  get descriptors(): number {
    return this.#first.table.descriptors + this.#second.table.descriptors;
  }

  /** Ring programmings that were carried to the device. */
  get programmings(): number {
    return this.#first.programmings + this.#second.programmings;
  }

  get resets(): number {
    return this.#first.resets + this.#second.resets;
  }

  /** Slots of the smallest running ring: what driver and device have between them while the core looks away. */
  get slackSlots(): number {
    return Math.min(
      this.#first.running ? this.#first.table.slots : Number.POSITIVE_INFINITY,
      this.#second.running ? this.#second.table.slots : Number.POSITIVE_INFINITY,
    );
  }

  /** The device has yet to answer to what the guest wrote: the turn goes on. */
  get open(): boolean {
    return this.#openSinceNs >= 0;
  }

  /** From now on the guest's doorbell rings here. No slot is posted that is not remembered. */
  takeOver(): void {
    this.#say(TRACKING.takingOver);
    this.#view.pages.map(RX_PAGE, 'shadow', () => {
      this.#words.fill(0);
      for (const queue of this.#queues) queue.copyRegisters();
      this.#refreshCounters();
      this.#say(TRACKING.shadow);
    });
    for (const queue of this.#queues) queue.rememberPosted();
  }

  /** Gives the page back to the device; nothing the guest wrote is lost. */
  release(frozen: boolean): void {
    this.#view.pages.map(RX_PAGE, 'direct', () => {
      if (!frozen) for (const queue of this.#queues) settle(queue);
      this.#say(TRACKING.released);
    });
    this.#say(TRACKING.none);
  }

  /** The same for a core that died, by what it said last; what it carried over can be seen on the device. */
  static releaseFor(view: CoreView, frozen: boolean): void {
    const state = Atomics.load(view.shared, TRACKING_WORD);
    if (state === TRACKING.none || state === TRACKING.scan) return;
    const relay = new ShadowRelay(view);
    if (state === TRACKING.shadow) for (const queue of relay.#queues) queue.adoptFromDead();
    relay.release(frozen || state !== TRACKING.shadow);
  }

  #say(state: number): void {
    Atomics.store(this.#view.shared, TRACKING_WORD, state);
  }

  turn(frozen: boolean): number {
    this.consumed = 0;
    const work = this.#serve(this.#first, frozen) + this.#serve(this.#second, frozen);
    this.#refreshCounters();
    this.#noteOpen(frozen);
    return work;
  }

  #serve(queue: RelayedQueue, frozen: boolean): number {
    const tail = queue.readTail();
    const consumed = queue.follow();
    this.consumed += consumed;
    return frozen ? consumed : consumed + queue.relay(tail);
  }

  #noteOpen(frozen: boolean): void {
    if (frozen || !(this.#first.unsettled || this.#second.unsettled)) {
      this.#openSinceNs = -1;
      return;
    }
    const nowNs = this.#view.clock.nowNs();
    if (this.#openSinceNs < 0) this.#openSinceNs = nowNs;
    else if (nowNs - this.#openSinceNs > OPEN_NS) this.#openSinceNs = -1;
  }

  #refreshCounters(): void {
    const bar0 = this.#view.bar0;
    for (let i = 0; i < COUNTERS.length; i++) {
      // read-only to the guest: what it may have written there is overwritten, as the device would ignore it
      this.#words[(COUNTERS[i]! & PAGE_MASK) >> 2] = bar0.read32(COUNTERS[i]!);
    }
  }
}

/** Carries over what the guest wrote last, while it is held out of the page. */
function settle(queue: RelayedQueue): void {
  for (let i = 0; i < RELEASE_POLLS; i++) {
    const tail = queue.readTail();
    queue.follow();
    if (queue.relay(tail) === 0) return;
  }
}
