/**
 * The shared memory of one 82599: what every thread that touches the card sees.
 *
 *   [ PF BAR0 register image | per-function hidden state | doorbells ]
 *
 * Registers live at their PF BAR0 offsets (vf-hardware 5.4, 5.5); a VF's BAR0 is a window onto them. What silicon keeps
 * out of the register map (Tx contexts, MSI-X tables, configuration space, EITR countdowns, mailbox flags) follows.
 * Everything is 32-bit words, so that any thread can use Atomics on it; nothing here is the guest's memory.
 */

import { blockThread, type WordWait } from '../clock.js';

export const PF_BAR0_BYTES = 0x20000;
/** 64-pool mode: pools 0..62 can be VFs, pool 63 is the PF's own. */
export const POOL_COUNT = 64;
export const MAX_VFS = 63;
export const PF_POOL = 63;
export const QUEUES_PER_POOL = 2;
export const QUEUE_COUNT = POOL_COUNT * QUEUES_PER_POOL;
export const VECTORS_PER_VF = 3;
/** Words a function's 4 KiB configuration space takes. */
export const CONFIG_WORDS = 1024;

const CONTROL_WORDS = 64;
const FUNCTIONS = POOL_COUNT; // VFs 0..62 and, last, the PF
const REGS_WORDS = PF_BAR0_BYTES / 4;

/** First word of each region. */
export const REGION = {
  registers: 0,
  /** 4 words of the stored context descriptor: [(queue * 2 + idx) * 4]. Queue is the absolute Tx queue 0..127. */
  txContext: REGS_WORDS,
  /** MSI-X table, 3 entries of 4 words per function, laid out as in BAR3: [function * 12 + vector * 4]. */
  msixTable: REGS_WORDS + QUEUE_COUNT * 2 * 4,
  /** MSI-X pending bits, one word per function. */
  msixPending: REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 12,
  /** Configuration space, CONFIG_WORDS per function. */
  config: REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 13,
  /** Mailbox flag word per VF: the state behind VFMAILBOX / PFMAILBOX. */
  mailbox: REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 13 + FUNCTIONS * CONFIG_WORDS,
  /** Per function 16 words of interrupt moderation: 3 doubles "next message allowed at, ns" (8-byte aligned), then flags. */
  moderation: REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 13 + FUNCTIONS * CONFIG_WORDS + FUNCTIONS,
  /** Engine control, see CONTROL. */
  control:
    REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 13 + FUNCTIONS * CONFIG_WORDS + FUNCTIONS + FUNCTIONS * 16,
  /** RTTBCNRC of every absolute Tx queue (the register itself is a window selected by RTTDQSEL). */
  txRate:
    REGS_WORDS + QUEUE_COUNT * 8 + FUNCTIONS * 13 + FUNCTIONS * CONFIG_WORDS + FUNCTIONS * 17 + CONTROL_WORDS,
} as const;

/** Words of the control region. */
export const CONTROL = {
  /** Incremented by any register write that gives the engine work; the sleeping engine waits on it. */
  doorbell: 0,
  /** 1 while the engine sleeps: only then does a writer pay for Atomics.notify. */
  engineAsleep: 1,
  /** 1 when the wire's peer is there. */
  wireUp: 2,
  /** Port speed in Mb/s; 0 = unlimited. */
  linkSpeedMbps: 3,
  /** 1 when some vector waits for its EITR interval: the engine must come back in time. */
  moderationPending: 4,
  /** 1: drop a frame on wire arrival when the VF has no descriptor even if DROP_EN is off (never set by default). */
  spare: 5,
  vfCount: 6,
  /** Incremented by the engine at the end of every step in which it did something (statistics only). */
  steps: 7,
  /** 4 words, one bit per absolute queue: Rx / Tx really enabled, as the engine acknowledged it. */
  rxActive: 16,
  txActive: 20,
  /**
   * 1 while an engine is attached: it acknowledges ENABLE. While 0, whoever writes ENABLE applies it at once.
   * 2 when it is driven by a thread of its own: then a read that depends on it may wait a moment for that thread.
   */
  engineRunning: 24,
  /** Incremented by every write to a filter or switch register: an engine that caches decoded filters rebuilds them. */
  filterVersion: 25,
  /** Non-zero: some queue's ENABLE request waits, call settleQueues() (queue-state.ts) at a packet boundary. */
  queueRequests: 26,
  /** 2 words, one bit per function: some vector of it waits for its EITR interval. */
  moderationFunctions: 28,
  /** 4 words each, one bit per absolute queue: ENABLE was written since the engine last looked. */
  rxRequested: 32,
  txRequested: 36,
  /** ... and went to 0 in between, however short: the engine must drop what it holds of the queue. */
  rxStopped: 40,
  txStopped: 44,
  /** ... and the head was set to 0 before the engine acknowledged the stop: settleQueues() stores it. */
  rxHeadZeroed: 48,
  txHeadZeroed: 52,
  /** 4 words, one bit per absolute Rx queue: drop enable, as set through QDE. */
  queueDrop: 56,
} as const;

export interface NicHandle {
  readonly sab: SharedArrayBuffer;
  readonly vfCount: number;
}

/** A thread's view of the shared memory. Cheap: create one per thread and keep it. */
export class NicShared {
  readonly handle: NicHandle;
  /** All words; index with REGION.x + i. Registers are words[offset >> 2]. */
  readonly words: Int32Array;
  /** The same memory as doubles, for the moments in REGION.moderation (all 8-byte aligned). */
  readonly doubles: Float64Array;
  /** How this thread waits for the engine's. */
  readonly wait: WordWait;

  constructor(handle: NicHandle, wait: WordWait = blockThread) {
    this.handle = handle;
    this.wait = wait;
    this.words = new Int32Array(handle.sab);
    this.doubles = new Float64Array(handle.sab);
  }

  /** Rings the engine: call after the register write that gives it work. */
  ring(): void {
    const words = this.words;
    Atomics.add(words, REGION.control + CONTROL.doorbell, 1);
    if (Atomics.load(words, REGION.control + CONTROL.engineAsleep) !== 0) {
      Atomics.notify(words, REGION.control + CONTROL.doorbell);
    }
  }
}

/** Bytes of the shared memory of a card. */
export const NIC_SHARED_BYTES = (REGION.txRate + QUEUE_COUNT) * 4;
