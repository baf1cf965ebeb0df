/**
 * Where packet-source sends to: takes test payload on port 9, checks each one's bytes and sequence. It sends nothing but
 * ARP answers.
 */
import { BulkReceiver } from '../../../measure/load/bulk-receiver.js';
import type { Peer, PeerCounts } from './peer.js';
import { Station, type StationOptions } from './station-peer.js';

export class SinkPeer implements Peer {
  readonly sent = 0;
  readonly #station: Station;
  readonly #receiver: BulkReceiver;

  constructor(options: StationOptions) {
    this.#station = new Station(options, 'sink');
    this.#receiver = new BulkReceiver({ peer: this.#station.peer });
  }

  start(): void {
    this.#receiver.start();
    this.#station.wake();
  }

  stop(): void {
    this.#receiver.stop();
  }

  get answered(): number {
    return this.#station.answered;
  }

  complaints(): readonly string[] {
    const { corrupt } = this.#receiver.report();
    if (corrupt === 0) return this.#station.complaints.list;
    return [`${corrupt} packets of the guest carry a damaged payload`, ...this.#station.complaints.list];
  }

  counts(): PeerCounts {
    const { datagrams, corrupt, duplicates, longestGapMs } = this.#receiver.report();
    return {
      sent: 0,
      received: datagrams - corrupt - duplicates,
      corrupt: corrupt + this.#station.complaints.count,
      duplicate: duplicates,
      longestGapNs: longestGapMs * 1e6,
    };
  }

  close(): Promise<void> {
    return this.#station.close();
  }
}
