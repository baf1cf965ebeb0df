/** What a store client counts. */

export interface KvCounters {
  sets: number;
  gets: number;
  deletes: number;
  hits: number;
  misses: number;
  /** Values that are not what was stored, or that are missing or there against the model. */
  corrupt: number;
  /** The guest itself found a checksum wrong. */
  checksumErrors: number;
  /** Other errors of the guest: out of memory and the like. */
  serverErrors: number;
  /** Replies that are no reply to their request. */
  malformed: number;
  retransmits: number;
  /** Requests given up. */
  lost: number;
  /** Second replies to a request that was sent once. */
  duplicates: number;
  /** Second replies to a request that was sent again: to be expected. */
  lateReplies: number;
  /** Replies that came after the reply to a later request. */
  reordered: number;
}

export const noKvCounters = (): KvCounters => ({
  sets: 0,
  gets: 0,
  deletes: 0,
  hits: 0,
  misses: 0,
  corrupt: 0,
  checksumErrors: 0,
  serverErrors: 0,
  malformed: 0,
  retransmits: 0,
  lost: 0,
  duplicates: 0,
  lateReplies: 0,
  reordered: 0,
});
