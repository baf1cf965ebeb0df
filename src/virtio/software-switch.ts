/**
 * The driver domain's switch: between the guests of one host and the wire, in software, copying every frame.
 *
 *   guest --copy--> the uplink's next send buffer --post--> wire          (for a station elsewhere)
 *                                                 --copy--> guest         (for one that is here)
 *   wire  --DMA---> the uplink's receive buffer   --copy--> guest
 *
 * Stations are the addresses that the devices were given; what is for none of them goes to the wire.
 */
import { type Bytes, bytesOf } from '../hardware/bytes.js';
import { STAT } from './device-words.js';
import type { NetHeader } from './net-header.js';
import { type FrameTaker, MAX_FRAME_BYTES, type NetPort } from './net-port.js';
import { FEATURE } from './spec.js';

/** Frames of one port, or of the wire, before the next one has its turn. */
const TURN_FRAMES = 64;

/** The way to the wire. */
export interface Uplink {
  readonly bytes: Bytes;
  /** Longest frame. */
  readonly frameBytes: number;
  /** Where the next frame to send is to lie, frameBytes of room; -1 while the ring is full. */
  sendAt(): number;
  /** Sends what lies there. */
  send(length: number): void;
  /** Takes the next received frame: its length, or -1. It lies at `receivedAt` until the next call. */
  receive(): number;
  readonly receivedAt: number;
  /** Tells the card of what was sent and of free receive buffers. */
  flush(): void;
}

export class SoftwareSwitch implements FrameTaker {
  readonly #uplink: Uplink;
  readonly #ports = new Set<NetPort>();
  readonly #stations = new Map<number, NetPort>();
  /** For frames while the uplink is full or too long for it. */
  readonly #aside = bytesOf(new Uint8Array(MAX_FRAME_BYTES));
  into: Bytes;
  offset = 0;
  roomBytes = MAX_FRAME_BYTES;

  constructor(uplink: Uplink) {
    this.#uplink = uplink;
    this.into = this.#aside;
  }

  /** Again after its address has changed. */
  add(port: NetPort): void {
    this.remove(port);
    this.#ports.add(port);
    this.#stations.set(stationKey(port.macLow, port.macHigh), port);
  }

  remove(port: NetPort): void {
    this.#ports.delete(port);
    for (const [key, known] of this.#stations) if (known === port) this.#stations.delete(key);
  }

  /** One turn of everything. Returns how many frames were moved. */
  step(): number {
    let work = this.#fromWire();
    for (const port of this.#ports) if (port.enter()) work += port.transmit(this, TURN_FRAMES);
    for (const port of this.#ports) port.leave();
    this.#uplink.flush();
    return work;
  }

  // --- from guests ----------------------------------------------------------------------------------------------------

  room(): boolean {
    const at = this.#uplink.sendAt();
    // a full ring holds its guests back, as any device does
    if (at < 0) return false;
    this.into = this.#uplink.bytes;
    this.offset = at;
    this.roomBytes = this.#uplink.frameBytes;
    return true;
  }

  take(from: NetPort, header: NetHeader, length: number): void {
    const { view } = this.into;
    const at = this.offset;
    if ((view.getUint8(at) & 1) !== 0) {
      if (!this.#finish(header, length)) return;
      this.#toAll(from, length);
      this.#uplink.send(length);
      return;
    }
    const station = this.#stations.get(stationKey(view.getUint32(at, true), view.getUint16(at + 4, true)));
    if (station === undefined) {
      if (this.#finish(header, length)) this.#uplink.send(length);
    } else if (station !== from) {
      const kept = station.enter() && station.has(FEATURE.guestCsum);
      if (kept || this.#finish(header, length)) station.deliver(this.into, at, length, kept ? header : null);
    } else {
      from.words.count(STAT.txDropped);
    }
  }

  /** The frame as it must be on a wire. */
  #finish(header: NetHeader, length: number): boolean {
    return !header.needsChecksum || header.completeChecksum(this.into, this.offset, length);
  }

  #toAll(from: NetPort, length: number): void {
    for (const port of this.#ports) if (port !== from) port.deliver(this.into, this.offset, length, null);
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
      if ((view.getUint8(at) & 1) !== 0) {
        // the card's own switch sends a broadcast back to the function that it came from
        if (this.#stations.has(stationKey(view.getUint32(at + 6, true), view.getUint16(at + 10, true))))
          continue;
        for (const port of this.#ports) port.deliver(uplink.bytes, at, length, null);
      } else {
        const key = stationKey(view.getUint32(at, true), view.getUint16(at + 4, true));
        this.#stations.get(key)?.deliver(uplink.bytes, at, length, null);
      }
    }
    return frames;
  }
}

const stationKey = (low: number, high: number): number => (high & 0xffff) * 2 ** 32 + (low >>> 0);
