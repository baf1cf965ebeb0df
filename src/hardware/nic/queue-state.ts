/**
 * A queue's ENABLE bit: what software asked for, and what the engine made of it.
 *
 *   register write                       shared words                      engine, at a packet boundary
 *   RXDCTL.ENABLE = 0  -> word bit 25, requested + stopped bits, doorbell -> settleQueues(): drops what it holds,
 *   RDH = 0            -> head-zeroed bit (the stop may not be settled)      stores the head, sets or clears `active`
 *   RXDCTL.ENABLE = 1  -> word bit 25, requested bit, doorbell
 *
 * The stock driver does not wait for a Tx queue to stop before it programs a new ring and enables it again, so a
 * disable must be seen however short it was, and a head that was zeroed meanwhile must not be overwritten.
 */

import { DCTL_ENABLE, RX, rxQueueOffset, TX, txQueueOffset } from './offsets.js';
import { CONTROL, type NicShared, REGION } from './shared.js';

export type Direction = 'rx' | 'tx';

/** What happened to one queue: `stopped` was disabled in between, `enabled` is its state from now on. */
export type QueueChange = (direction: Direction, queue: number, stopped: boolean, enabled: boolean) => void;

interface DirectionWords {
  readonly direction: Direction;
  readonly active: number;
  readonly requested: number;
  readonly stopped: number;
  readonly headZeroed: number;
  readonly block: (queue: number) => number;
  readonly dctl: number;
  readonly head: number;
}

const RX_WORDS: DirectionWords = {
  direction: 'rx',
  active: REGION.control + CONTROL.rxActive,
  requested: REGION.control + CONTROL.rxRequested,
  stopped: REGION.control + CONTROL.rxStopped,
  headZeroed: REGION.control + CONTROL.rxHeadZeroed,
  block: rxQueueOffset,
  dctl: RX.RXDCTL,
  head: RX.RDH,
};
const TX_WORDS: DirectionWords = {
  direction: 'tx',
  active: REGION.control + CONTROL.txActive,
  requested: REGION.control + CONTROL.txRequested,
  stopped: REGION.control + CONTROL.txStopped,
  headZeroed: REGION.control + CONTROL.txHeadZeroed,
  block: txQueueOffset,
  dctl: TX.TXDCTL,
  head: TX.TDH,
};
const QUEUE_REQUESTS = REGION.control + CONTROL.queueRequests;
const ENGINE_RUNNING = REGION.control + CONTROL.engineRunning;
/** Values of CONTROL.queueRequests. */
const NOTHING = 0;
const WAITING = 1;
const SETTLING = 2;
/** Value of CONTROL.engineRunning for an engine that runs in a thread of its own. */
export const ENGINE_THREADED = 2;
const SETTLE_TRIES = 5;
/** Long enough for an engine that has to wait for a core of a busy host. */
const SETTLE_WAIT_MS = 10;

const wordsOf = (direction: Direction): DirectionWords => (direction === 'rx' ? RX_WORDS : TX_WORDS);

/** Whether the engine may be working on this queue: the ENABLE bit that a read of RXDCTL / TXDCTL shows. */
export function isQueueActive(shared: NicShared, direction: Direction, queue: number): boolean {
  return ((Atomics.load(shared.words, wordsOf(direction).active + (queue >> 5)) >>> (queue & 31)) & 1) !== 0;
}

/** Whether software asks for this queue to run. */
export function isQueueRequested(shared: NicShared, direction: Direction, queue: number): boolean {
  const names = wordsOf(direction);
  return (Atomics.load(shared.words, (names.block(queue) + names.dctl) >> 2) & DCTL_ENABLE) !== 0;
}

/**
 * Whether some queue's ENABLE request waits to be carried out. For the engine, between packets: what it read of a ring's
 * registers before this look (tail, head write-back address) is that ring's. What it reads after a request may belong to
 * the next ring, since a driver need not wait for a stop before it programs one.
 */
export function areRequestsWaiting(words: Int32Array): boolean {
  return words[QUEUE_REQUESTS] !== NOTHING;
}

/** Stores RXDCTL / TXDCTL (already masked) and, where its ENABLE changed, has the change carried out. */
export function writeQueueControl(
  shared: NicShared,
  direction: Direction,
  queue: number,
  value: number,
): void {
  const names = wordsOf(direction);
  const words = shared.words;
  const old = Atomics.exchange(words, (names.block(queue) + names.dctl) >> 2, value);
  if (((old ^ value) & DCTL_ENABLE) === 0) return;
  const bit = 1 << (queue & 31);
  const group = queue >> 5;
  if ((value & DCTL_ENABLE) === 0) Atomics.or(words, names.stopped + group, bit);
  Atomics.or(words, names.requested + group, bit);
  Atomics.store(words, QUEUE_REQUESTS, WAITING);
  if (Atomics.load(words, ENGINE_RUNNING) === 0) settleQueues(shared, null);
  else shared.ring();
}

/** Sets the head to 0 while the queue is asked to stop: at once, and again when the engine lets go of it. */
export function zeroQueueHead(shared: NicShared, direction: Direction, queue: number): void {
  const names = wordsOf(direction);
  const words = shared.words;
  const bit = 1 << (queue & 31);
  const word = names.headZeroed + (queue >> 5);
  // bit first: the engine, letting go between these lines, either takes the bit or is seen to have let go
  Atomics.or(words, word, bit);
  Atomics.store(words, (names.block(queue) + names.head) >> 2, 0);
  if (!isQueueActive(shared, direction, queue)) Atomics.and(words, word, ~bit);
}

/**
 * Carries out all ENABLE requests. The engine calls it between packets when CONTROL.queueRequests is set; `onChange`
 * is told each queue after its head is right and before it counts as active. True if anything changed.
 */
export function settleQueues(shared: NicShared, onChange: QueueChange | null): boolean {
  const words = shared.words;
  if (Atomics.load(words, QUEUE_REQUESTS) === NOTHING) return false;
  Atomics.store(words, QUEUE_REQUESTS, SETTLING);
  for (let group = 0; group < 4; group++) {
    settleGroup(shared, RX_WORDS, group, onChange);
    settleGroup(shared, TX_WORDS, group, onChange);
  }
  // a request that came meanwhile is left for the next call
  if (Atomics.compareExchange(words, QUEUE_REQUESTS, SETTLING, NOTHING) === SETTLING) {
    Atomics.notify(words, QUEUE_REQUESTS);
  }
  return true;
}

/**
 * Gives an engine in a thread of its own a moment to carry out what was asked of this queue. On a real card that takes
 * less time than the read that looks at it, and drivers poll for 100 us only; here the engine's core may be asleep or
 * descheduled, and the guest must not see that.
 */
export function awaitQueue(shared: NicShared, direction: Direction, queue: number): void {
  const words = shared.words;
  if (Atomics.load(words, ENGINE_RUNNING) !== ENGINE_THREADED) return;
  for (let i = 0; i < SETTLE_TRIES && isUnsettled(words, wordsOf(direction), queue); i++) {
    const state = Atomics.load(words, QUEUE_REQUESTS);
    if (state === NOTHING) return;
    shared.wait(words, QUEUE_REQUESTS, state, SETTLE_WAIT_MS);
  }
}

function isUnsettled(words: Int32Array, names: DirectionWords, queue: number): boolean {
  const bit = 1 << (queue & 31);
  const group = queue >> 5;
  if ((Atomics.load(words, names.stopped + group) & bit) !== 0) return true;
  const requested = (Atomics.load(words, (names.block(queue) + names.dctl) >> 2) & DCTL_ENABLE) !== 0;
  return requested !== ((Atomics.load(words, names.active + group) & bit) !== 0);
}

function settleGroup(
  shared: NicShared,
  names: DirectionWords,
  group: number,
  onChange: QueueChange | null,
): void {
  const words = shared.words;
  let pending = Atomics.exchange(words, names.requested + group, 0);
  while (pending !== 0) {
    const index = 31 - Math.clz32(pending);
    const bit = 1 << index;
    pending &= ~bit;
    const queue = group * 32 + index;
    const block = names.block(queue);
    // stop bit before ENABLE is read: a later stop raises a request of its own
    const stopped = (Atomics.and(words, names.stopped + group, ~bit) & bit) !== 0;
    if (stopped) Atomics.and(words, names.active + group, ~bit);
    // a head written from here on finds the queue inactive and is not overwritten
    if ((Atomics.and(words, names.headZeroed + group, ~bit) & bit) !== 0) {
      Atomics.store(words, (block + names.head) >> 2, 0);
    }
    const enabled = (Atomics.load(words, (block + names.dctl) >> 2) & DCTL_ENABLE) !== 0;
    onChange?.(names.direction, queue, stopped, enabled);
    if (enabled) Atomics.or(words, names.active + group, bit);
    else Atomics.and(words, names.active + group, ~bit);
  }
}
