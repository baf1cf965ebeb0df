/**
 * The words that the exit handler and the main half share: what is known of each queue. Whoever touches them has the page of
 * the queue's registers to himself: the handler by being in a write to it, the main half by holding it. So plain stores do.
 */
import { type ExitView, vf82599 } from 'srvm/plugin';

const { MAX_RING_SLOTS, QUEUES } = vf82599;

/** What both halves have. */
export type QueueView = Pick<ExitView, 'bar0' | 'dirty' | 'ram' | 'shared'>;

/** Words of any queue. */
const QUEUE_WORD = {
  state: 0,
  base: 1,
  slots: 2,
  /** As the guest wrote it last. */
  tail: 3,
  /** Oldest slot that was posted and not seen completed, and how many there are from it on. */
  first: 4,
  outstanding: 5,
} as const;

/** Words of an Rx queue. */
export const RX_WORD = {
  ...QUEUE_WORD,
  packetBytes: 6,
  headerBytes: 7,
  /** Harvests for which all of RAM is to be marked. */
  doubt: 8,
  packets: 16,
  headers: 16 + MAX_RING_SLOTS,
} as const;
const RX_WORDS = 16 + 2 * MAX_RING_SLOTS;

/** Words of a Tx queue. */
export const TX_WORD = {
  ...QUEUE_WORD,
  /** Address of the head's word in RAM; -1: none. */
  headWord: 6,
  /** Something was posted since the last harvest, or is still to be executed. */
  busy: 7,
  /** Rings that were replaced, `retired` pairs of address and bytes. */
  retiredCount: 8,
  /** Harvests for which they are still to be marked. */
  retiredAge: 9,
  /** More were replaced between two harvests than there is room for. */
  doubt: 10,
  /** A flag and four words for each context in force. */
  contexts: 16,
  retired: 32,
  /** By slot: a flag, and the words of a context descriptor that was posted there. */
  posted: 64,
} as const;
export const RETIRED_ROOM = 12;
export const CONTEXT_STRIDE = 1 + vf82599.CONTEXT_WORDS;
const TX_WORDS = TX_WORD.posted + MAX_RING_SLOTS * CONTEXT_STRIDE;

/** Words common to all queues: counters. */
export const COUNTER = {
  rxTailWrites: 0,
  txTailWrites: 1,
  controlWrites: 2,
  descriptors: 3,
  doubts: 4,
} as const;
const COUNTERS = 16;

export const STATE = { unseen: 0, off: 1, on: 2, stopping: 3 } as const;

const rxAt = (queue: number): number => COUNTERS + queue * RX_WORDS;
const txAt = (queue: number): number => COUNTERS + QUEUES * RX_WORDS + queue * TX_WORDS;
export const SHARED_WORDS = txAt(QUEUES);

export const rxWords = (shared: Int32Array, queue: number): Int32Array =>
  shared.subarray(rxAt(queue), rxAt(queue) + RX_WORDS);
export const txWords = (shared: Int32Array, queue: number): Int32Array =>
  shared.subarray(txAt(queue), txAt(queue) + TX_WORDS);
