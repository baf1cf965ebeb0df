/**
 * What the peers of real images share: the production station (ARP, ping, loads) on a port of the ether, in virtual time,
 * over a wire that looks at every frame's checksums.
 */
import { TrafficPeer } from '../../../measure/load/traffic-peer.js';
import { CheckingWire } from './checking-wire.js';
import { VirtualDriver } from './drive.js';
import { Complaints, type PeerOptions } from './peer.js';

export interface StationOptions extends PeerOptions {
  readonly ip: string;
  /** The guest's. */
  readonly targetIp: string;
}

export class Station {
  readonly peer: TrafficPeer;
  readonly complaints = new Complaints();
  readonly #wire: CheckingWire;
  readonly #driver: VirtualDriver;

  constructor(options: StationOptions, what: string) {
    const { scheduler, wire, mac, ip } = options;
    this.#wire = new CheckingWire(wire, (sentence) => this.complaints.add(sentence));
    this.peer = new TrafficPeer({ wire: this.#wire, clock: scheduler, mac, ip });
    this.#driver = new VirtualDriver(scheduler, this.peer, what);
  }

  /** Datagrams that came from the guest, whole: cheap to ask for. */
  get answered(): number {
    return this.#wire.datagrams;
  }

  /** A load was started: it may be due earlier than what was known. */
  wake(): void {
    this.#driver.wake();
  }

  close(): Promise<void> {
    this.#driver.stop();
    return this.#wire.close();
  }
}
