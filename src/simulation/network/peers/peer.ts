/**
 * What the guest talks to: a station on the ether that sends, and judges what comes back. A frame that is lost, doubled or
 * late is the network's affair; one that is wrong is a broken promise.
 */

import type { Wire } from '../../../hardware/wire/wire.js';
import type { Choices } from '../../clockwork/choices.js';
import type { Scheduler } from '../../clockwork/scheduler.js';

export interface PeerCounts {
  readonly sent: number;
  /** Arrivals that were whole and new. */
  readonly received: number;
  readonly corrupt: number;
  readonly duplicate: number;
  /** The longest virtual time between two arrivals. */
  readonly longestGapNs: number;
}

export interface Peer {
  start(): void;
  /** Nothing new is sent; what still arrives is judged. */
  stop(): void;
  /** What came back wrong, in sentences; the first few. */
  complaints(): readonly string[];
  counts(): PeerCounts;
  readonly sent: number;
  /** Arrivals that were right: grows while the guest lives. */
  readonly answered: number;
  /** Lets go of its cable. */
  close(): Promise<void>;
}

export interface PeerOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  /** Its port on the ether. */
  readonly wire: Wire;
  readonly mac: string;
}

/** Frames or requests, how many, how large, in bursts of how many. */
export interface TrafficMix {
  readonly framesPerSecond: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly burst: number;
}

const MAX_COMPLAINTS = 10;

/** Sentences about what was wrong, the first few of them, and how many in all. */
export class Complaints {
  readonly list: string[] = [];
  count = 0;

  add(sentence: string): void {
    this.count++;
    if (this.list.length < MAX_COMPLAINTS) this.list.push(sentence);
  }
}

/** The longest time without an arrival. */
export class GapWatch {
  longestNs = 0;
  #lastNs = -1;

  arrived(nowNs: number): void {
    if (this.#lastNs >= 0) this.longestNs = Math.max(this.longestNs, nowNs - this.#lastNs);
    this.#lastNs = nowNs;
  }
}
