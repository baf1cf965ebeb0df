/**
 * Where the scripted guest keeps everything it knows: in its RAM, at fixed places.
 *
 *   1000  state        scalars, then MMIO writes under way, then the agenda
 *   2000  complaints   what it found wrong
 *   4000  seen         a bit for each frame number
 *   6000  Rx slots     buffer of each slot          8000  Tx slots
 *   a000  granules     who has each KiB of the arena
 *   e000  canaries     head write-back words and what lies next to them
 *  10000  rings        two queues, both directions, three places each
 *  30000  private      nodes of a checksummed list
 *  70000  arena        buffers, in granules of 1 KiB
 */
const WORD = 4;

export const STATE_AT = 0x1000;
export const MMIO_AT = 0x1400;
export const MMIO_ENTRIES = 96;
export const AGENDA_AT = 0x1a00;
export const AGENDA_ENTRIES = 96;
export const COMPLAINTS_AT = 0x2000;
export const SEEN_AT = 0x4000;
export const SEEN_BITS = 65536;
export const RX_SLOTS_AT = 0x6000;
export const TX_SLOTS_AT = 0x8000;
export const SLOT_TABLE_BYTES = 0x1000;
export const GRANULES_AT = 0xa000;
export const MAX_GRANULES = 8192;
export const HEAD_WORDS_AT = 0xe000;
export const RINGS_AT = 0x1_0000;
export const RING_PLACE_BYTES = 0x2000;
export const RING_PLACES = 3;
export const MAX_SLOTS = 512;
export const PRIVATE_AT = 0x3_0000;
export const PRIVATE_PAGES = 64;
export const ARENA_AT = 0x7_0000;
export const GRANULE_BYTES = 1024;
export const QUEUES = 2;

/** Ring places: 0 to 2 of Rx queue 0, then of Rx queue 1, then Tx. */
export const ringPlace = (direction: 'rx' | 'tx', queue: number, place: number): number =>
  RINGS_AT + (((direction === 'rx' ? 0 : QUEUES) + queue) * RING_PLACES + place) * RING_PLACE_BYTES;

/** Words of the state page. Doubles take two and lie at even words. */
export const STATE = {
  magic: 0,
  seed: 1,
  steps: 2,
  chance: 3,
  queues: 5,
  agendaHead: 6,
  agendaTail: 7,
  mmioHead: 8,
  mmioTail: 9,
  macLow: 10,
  macHigh: 11,
  peerLow: 12,
  peerHigh: 13,
  mailboxSeen: 14,
  mailboxTries: 15,
  interruptsTaken: 16,
  waiting: 17,
  waitUntilNs: 18,
  lastClockNs: 20,
  masked: 22,
  silentWaits: 23,
  statisticsNs: 24,
  /** Seven words as read last. */
  statistics: 26,
  nextNumber: 34,
  nextTaggedNumber: 35,
  nextSequence: 36,
  listHead: 37,
  listLength: 38,
  listSum: 39,
  lastBuffer: 40,
  burstLeft: 41,
  resets: 42,
  hasVlan: 43,
  /** Frames taken by the last look and by the one before, and what the VF had counted then. */
  takenAtStatistics: 44,
  quietUntilNs: 48,
  phase: 50,
  sleptEmpty: 51,
  /** Blocks of QUEUE_WORDS for Rx queue 0 and 1, Tx queue 0 and 1. */
  queueBlocks: 64,
  /** Counters, see counters.ts. */
  counters: 160,
} as const;
export const QUEUE_WORDS = 24;

/** Words of a queue's block. */
export const QUEUE = {
  /** 1: enabled, as far as the guest has been told. */
  running: 0,
  base: 1,
  slots: 2,
  toClean: 3,
  toUse: 4,
  place: 5,
  /** A ring was left with the device still in it: its buffers are not given back yet. */
  quarantined: 6,
  tries: 7,
  /** Rx: KiB of a buffer, header split, refill batch, tail on the last slot, offset in a buffer, see POLICY and STYLE. */
  bufferKib: 8,
  split: 9,
  batch: 10,
  tailLast: 11,
  skew: 12,
  policy: 13,
  byLength: 14,
  /** Tx: address of the head write-back word, 0 none. */
  headWord: 8,
  /** Tx: the last two contexts that the card was given, as words 0, 2, 3 of each; 0 none. */
  contexts: 16,
} as const;

export const PHASE = { settingUp: 0, running: 1 } as const;
/** Which buffer a slot gets: its own again, any free one, or the one that was freed last in whichever queue. */
export const POLICY = { own: 0, fresh: 1, lastFreed: 2 } as const;
/** Who has a granule. */
export const OWNER = { nobody: 0, rx: 1, tx: 1 + QUEUES, quarantine: 1 + 2 * QUEUES } as const;

export const stateAddress = (field: number): number => STATE_AT + field * WORD;
export const queueAddress = (direction: 'rx' | 'tx', queue: number, field: number): number =>
  STATE_AT + (STATE.queueBlocks + ((direction === 'rx' ? 0 : QUEUES) + queue) * QUEUE_WORDS + field) * WORD;
