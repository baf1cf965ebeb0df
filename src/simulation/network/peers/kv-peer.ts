/**
 * The store image's client: the production one, which knows what every key must hold. A value that is wrong, missing or
 * there against the model is a broken promise; a lost request is repeated.
 */
import { KvClient } from '../../../measure/load/kv-client.js';
import type { Peer, PeerCounts, TrafficMix } from './peer.js';
import { Station, type StationOptions } from './station-peer.js';

export interface KvOptions extends StationOptions {
  readonly traffic: TrafficMix;
}

const MIN_VALUE_BYTES = 16;
const MAX_VALUE_BYTES = 1300;
/** Soon: a simulated second is long. */
const TIMEOUT_MS = 5;
const MOST_KEYS = 400;

export class KvPeer implements Peer {
  readonly #station: Station;
  readonly #client: KvClient;

  constructor(options: KvOptions) {
    const { choices, targetIp, traffic } = options;
    this.#station = new Station(options, 'store client');
    this.#client = new KvClient({
      peer: this.#station.peer,
      random: choices,
      targetIp,
      keys: choices.between(20, MOST_KEYS),
      minValueBytes: MIN_VALUE_BYTES,
      maxValueBytes: Math.max(MIN_VALUE_BYTES, Math.min(MAX_VALUE_BYTES, traffic.maxBytes)),
      window: Math.max(1, Math.min(64, traffic.burst)),
      rateHz: traffic.framesPerSecond,
      setShare: choices.pick([0.1, 0.4]),
      timeoutMs: TIMEOUT_MS,
    });
  }

  /** Stores every key, then a mix of all commands. */
  start(): void {
    this.#client.start();
    this.#station.wake();
  }

  stop(): void {
    this.#client.stop();
  }

  /** Reads every key once, then stops. Whether that is over: isIdle. */
  verifyAll(): void {
    this.#client.verifyAll();
    this.#station.wake();
  }

  get isIdle(): boolean {
    return this.#client.phase === 'idle';
  }

  get sent(): number {
    const { sets, gets, deletes, retransmits } = this.#client.counters;
    return sets + gets + deletes + retransmits;
  }

  get answered(): number {
    return this.#station.answered;
  }

  complaints(): readonly string[] {
    const { corrupt, checksumErrors, malformed } = this.#client.counters;
    const sentences = [...this.#station.complaints.list];
    if (corrupt > 0) sentences.push(`${corrupt} values of the store are not what was stored`);
    if (checksumErrors > 0) sentences.push(`the store found ${checksumErrors} of its own checksums wrong`);
    if (malformed > 0) sentences.push(`${malformed} replies of the store are no replies to their requests`);
    return sentences;
  }

  counts(): PeerCounts {
    const { corrupt, checksumErrors, malformed, duplicates } = this.#client.counters;
    return {
      sent: this.sent,
      received: this.#client.report().latency.count,
      corrupt: corrupt + checksumErrors + malformed + this.#station.complaints.count,
      duplicate: duplicates,
      longestGapNs: this.#client.report().longestGapMs * 1e6,
    };
  }

  close(): Promise<void> {
    return this.#station.close();
  }
}
