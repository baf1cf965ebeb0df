/**
 * The driver domain's switch: between the guests of one host and the wire, in software, copying every frame.
 *
 *   guest --copy--> the uplink's next send buffer --post--> wire          (for a station elsewhere)
 *                                                 --copy--> guest         (for one that is here)
 *   wire  --DMA---> the uplink's receive buffer   --copy--> guest
 *
 * Stations are the addresses that the devices were given; what is for none of them goes to the wire. What a guest left to
 * its device, checksums and the cutting of large segments, the card does for frames that go to the wire; a guest on the same
 * host that can do without is handed them as they are, for another it is done here.
 */
import type { Bytes } from '../hardware/bytes.js';
import { Segmenter, TSO } from '../hardware/nic/tso.js';
import { CardOffload } from './card-offload.js';
import { STAT } from './device-words.js';
import { NetHeader } from './net-header.js';
import type { FrameTaker, NetPort } from './net-port.js';
import { FEATURE } from './spec.js';
import type { Uplink } from './uplink.js';

/** Frames of one port, or of the wire, before the next one has its turn. */
const TURN_FRAMES = 64;
const NO_VLAN = -1;

export class SoftwareSwitch implements FrameTaker {
  readonly into: Bytes;
  offset = 0;
  roomBytes = 0;
  #moved = 0;
  readonly #uplink: Uplink;
  readonly #ports = new Set<NetPort>();
  readonly #stations = new Map<number, NetPort>();
  readonly #offload = new CardOffload();
  readonly #verified = new NetHeader();
  readonly #segmenter: Segmenter;
  /** Who the segments are for that are being cut here. */
  #segmentsFor: NetPort | null = null;

  constructor(uplink: Uplink) {
    this.#uplink = uplink;
    this.into = uplink.bytes;
    this.#verified.setVerified();
    this.#segmenter = new Segmenter({
      stage: uplink.bytes,
      canSend: () => true,
      send: (_queue, offset, length) =>
        this.#segmentsFor?.deliver(uplink.bytes, offset, length, this.#verified) ?? false,
      insertVlan: (offset) => offset,
    });
  }

  /** Again after its address has changed. */
  add(port: NetPort): void {
    this.remove(port);
    port.listens = true;
    this.#ports.add(port);
    this.#stations.set(stationKey(port.macLow, port.macHigh), port);
  }

  remove(port: NetPort): void {
    this.#ports.delete(port);
    for (const [key, known] of this.#stations) if (known === port) this.#stations.delete(key);
  }

  /** One turn of everything. 0: nothing to do until somebody rings. */
  step(): number {
    let frames = 0;
    let locked = 0;
    try {
      frames = this.#fromWire();
      for (const port of this.#ports) {
        if (port.enter()) frames += port.transmit(this, TURN_FRAMES);
        // just now: what its guest rang for is still there
        else if (port.isReady) locked++;
      }
    } finally {
      // whatever a turn dies of, no guest is left to wait for its device's lock
      for (const port of this.#ports) port.leave();
    }
    this.#uplink.flush();
    this.#moved += frames;
    return frames + locked;
  }

  /** Frames taken from the wire and from guests. */
  get moved(): number {
    return this.#moved;
  }

  /** Before a sleep: from here on guests ring for what they send; what they have sent already, the next step finds. */
  listen(): void {
    for (const port of this.#ports) port.listen();
  }

  // --- from guests ----------------------------------------------------------------------------------------------------

  /** A full ring holds its guests back, as any device does. */
  room(large: boolean): boolean {
    const uplink = this.#uplink;
    const at = large ? uplink.sendLargeAt() : uplink.sendAt();
    if (at < 0) return false;
    this.offset = at;
    this.roomBytes = large ? uplink.largeBytes : uplink.frameBytes;
    return true;
  }

  take(from: NetPort, header: NetHeader, length: number): void {
    const { view } = this.into;
    const at = this.offset;
    const station = this.#stations.get(stationKey(view.getUint32(at, true), view.getUint16(at + 4, true)));
    const toAll = (view.getUint8(at) & 1) !== 0;
    let sent = false;
    if (station === from) sent = false;
    else if (header.isSegmented) sent = !toAll && this.#takeLarge(station, header, length);
    else if (toAll) sent = this.#toAll(from, header, length);
    else if (station === undefined) sent = this.#toWire(header, length);
    else sent = this.#toGuest(station, header, length);
    if (!sent) from.words.count(STAT.txDropped);
  }

  #toWire(header: NetHeader, length: number): boolean {
    let offload: CardOffload | null = null;
    if (header.needsChecksum) {
      if (this.#offload.readChecksum(header, this.into.view, this.offset, length)) offload = this.#offload;
      else if (!header.completeChecksum(this.into, this.offset, length)) return false;
    }
    this.#uplink.send(length, offload);
    return true;
  }

  /** A frame that finds no buffer is the receiver's loss, not the sender's fault. */
  #toGuest(station: NetPort, header: NetHeader, length: number): boolean {
    const asItIs = station.enterInTurn() && station.has(FEATURE.guestCsum);
    if (!asItIs && !this.#finish(header, length)) return false;
    station.deliver(this.into, this.offset, length, asItIs ? header : null);
    return true;
  }

  #toAll(from: NetPort, header: NetHeader, length: number): boolean {
    if (!this.#finish(header, length)) return false;
    for (const port of this.#ports) if (port !== from) port.deliver(this.into, this.offset, length, null);
    this.#uplink.send(length, null);
    return true;
  }

  /** The frame as it must be on a wire. */
  #finish(header: NetHeader, length: number): boolean {
    return !header.needsChecksum || header.completeChecksum(this.into, this.offset, length);
  }

  /** A segment to be cut. */
  #takeLarge(station: NetPort | undefined, header: NetHeader, length: number): boolean {
    const offload = this.#offload;
    if (station?.enterInTurn() && station.has(FEATURE.guestTso4)) {
      station.deliver(this.into, this.offset, length, header);
      return true;
    }
    if (!offload.prepareSegments(header, this.into.view, this.offset, length)) return false;
    if (station === undefined) {
      this.#uplink.sendLarge(length, offload);
      return true;
    }
    this.#segmentsFor = station;
    const { context0, context2, context3 } = offload;
    return this.#segmenter.send(0, this.offset, length, context0, context2, context3, NO_VLAN) === TSO.sent;
  }

  // --- from the wire --------------------------------------------------------------------------------------------------

  #fromWire(): number {
    const uplink = this.#uplink;
    const { view } = uplink.bytes;
    let frames = 0;
    for (; frames < TURN_FRAMES; frames++) {
      const length = uplink.receive();
      if (length < 0) break;
      const at = uplink.receivedAt;
      const header = uplink.receivedIsVerified ? this.#verified : null;
      if ((view.getUint8(at) & 1) === 0) {
        const key = stationKey(view.getUint32(at, true), view.getUint16(at + 4, true));
        this.#stations.get(key)?.deliver(uplink.bytes, at, length, header);
      } else if (
        !this.#stations.has(stationKey(view.getUint32(at + 6, true), view.getUint16(at + 10, true)))
      ) {
        // (the card's own switch sends a broadcast back to the function that it came from)
        for (const port of this.#ports) port.deliver(uplink.bytes, at, length, header);
      }
    }
    return frames;
  }
}

const stationKey = (low: number, high: number): number => (high & 0xffff) * 2 ** 32 + (low >>> 0);
