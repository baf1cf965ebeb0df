/**
 * What happens to a finished frame on its way out: anti-spoof, padding, the embedded switch, the wire.
 *
 *   stage: | headroom | frame ........ |     frames are built in the engine's own memory: a guest that changes its
 *                                            buffer later can no longer get past the checks
 */

import { type Bytes, bytesOf } from '../bytes.js';
import type { Wire } from '../wire/wire.js';
import { type Delivery, MIN_FRAME_BYTES } from './delivery.js';
import { RX_STATUS } from './descriptors.js';
import type { L2Switch } from './l2-switch.js';
import { ETHERTYPE_VLAN, Packet, VLAN_TAG_BYTES } from './packet.js';
import type { RateLimits } from './rate-limit.js';
import type { NicStats } from './stats.js';

/** Room before a frame: a VLAN tag is inserted by moving the addresses forward. Multiple of 4. */
export const HEADROOM_BYTES = 64;
/** The largest TSO payload (18-bit length) and its headers. */
export const STAGE_BYTES = HEADROOM_BYTES + 0x40000 + 1024;
const MAC_BYTES = 12;
/**
 * For as long a paused wire is waited for: a peer that hangs must not hang the guests' queues, whose drivers would take that
 * for a broken card (after 5 s). What is sent after that is lost on the wire, until it takes frames again.
 */
const LONGEST_PAUSE_NS = 100e6;

export class Egress {
  readonly stage: Bytes = bytesOf(new Uint8Array(STAGE_BYTES));
  readonly #wire: Wire;
  readonly #switch: L2Switch;
  readonly #delivery: Delivery;
  readonly #limits: RateLimits;
  readonly #stats: NicStats;
  readonly #packet = new Packet();
  #nowNs = 0;
  /** When the wire was first seen paused; 0: it is not. */
  #pausedSinceNs = 0;

  constructor(wire: Wire, l2: L2Switch, delivery: Delivery, limits: RateLimits, stats: NicStats) {
    this.#wire = wire;
    this.#switch = l2;
    this.#delivery = delivery;
    this.#limits = limits;
    this.#stats = stats;
  }

  /** Call at the begin of a step; one time holds for all its frames. */
  beginStep(nowNs: number): void {
    this.#nowNs = nowNs;
    if (this.#pausedSinceNs !== 0 && this.#wire.paused !== true) this.#pausedSinceNs = 0;
  }

  /** The port sends nothing: its wire is paused. As on the card, that holds for what would stay inside it too. */
  get isPaused(): boolean {
    if (this.#wire.paused !== true) return false;
    if (this.#pausedSinceNs === 0) this.#pausedSinceNs = this.#nowNs;
    return this.#nowNs < this.#pausedSinceNs + LONGEST_PAUSE_NS;
  }

  /** When a pause that is waited for will be waited for no longer; Infinity: none is. */
  get pauseEndNs(): number {
    const endNs = this.#pausedSinceNs + LONGEST_PAUSE_NS;
    return this.#pausedSinceNs !== 0 && this.#nowNs < endNs ? endNs : Number.POSITIVE_INFINITY;
  }

  /** Puts a tag behind the addresses of the frame at `offset`; the frame then begins VLAN_TAG_BYTES earlier. */
  insertVlan(offset: number, tag: number): number {
    const { u8, view } = this.stage;
    const start = offset - VLAN_TAG_BYTES;
    u8.copyWithin(start, offset, offset + MAC_BYTES);
    view.setUint16(start + MAC_BYTES, ETHERTYPE_VLAN);
    view.setUint16(start + MAC_BYTES + 2, tag);
    return start;
  }

  /**
   * Sends the frame at [offset, offset + length) of the stage. False: a receiver inside the card makes it wait; nothing
   * has happened yet. A frame that the checks forbid counts as dealt with.
   */
  send(queue: number, offset: number, length: number): boolean {
    const pool = queue >> 1;
    const { u8, view } = this.stage;
    const packet = this.#packet;
    let frameBytes = length;
    if (length < MIN_FRAME_BYTES) {
      u8.fill(0, offset + length, offset + MIN_FRAME_BYTES);
      frameBytes = MIN_FRAME_BYTES;
    }
    packet.readLayer2(view, offset, frameBytes);
    if (this.#switch.isSpoofed(packet, pool)) return true;
    let toWire = true;
    if (this.#switch.loopback && this.#switch.selectFromPool(packet, pool)) {
      toWire = !this.#switch.exact;
      const fits = this.#delivery.fits(packet, frameBytes);
      if (fits && !this.#delivery.deliver(packet, this.stage, offset, frameBytes, RX_STATUS.loopback)) {
        return false;
      }
    }
    if (toWire) {
      this.#wire.transmit(u8, offset, frameBytes);
      this.#stats.countPortTx();
    }
    this.#stats.countTx(pool, frameBytes);
    this.#limits.countTransmitted(queue, frameBytes);
    return true;
  }

  /** Whether `frames` frames like the one at `offset` could all be sent now without waiting. */
  canSend(queue: number, offset: number, length: number, frames: number): boolean {
    if (!this.#switch.loopback) return true;
    const packet = this.#packet;
    packet.readLayer2(this.stage.view, offset, length);
    if (!this.#switch.selectFromPool(packet, queue >> 1)) return true;
    packet.readUpperLayers(this.stage.view, offset, length);
    return this.#delivery.canTake(packet, this.stage, offset, length, frames);
  }
}
