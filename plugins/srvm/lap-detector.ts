/**
 * How many descriptors may have been consumed between two looks? A head says so only modulo the ring. The VF's packet and
 * octet counters bound it: a packet takes at least one descriptor, and one of L octets at most 1 + floor(L / buffer). In
 * the worst case one queue took them all.
 *
 *   look k:     counters (earliest)   heads   counters (latest)
 *   most  = latest(k+1) - earliest(k), as descriptors        least = earliest(k+1) - latest(k), one each
 *
 * Counters move before the heads they belong to, so a head that was read between two counter readings lies between them.
 */
import { type CoreView, vf82599 } from 'srvm/plugin';

const { REG } = vf82599;

export class LapDetector {
  readonly #view: CoreView;
  #earliestPackets = 0;
  #earliestOctets = 0;
  #latestPackets = 0;
  #nextPackets = 0;
  #nextOctets = 0;

  constructor(view: CoreView) {
    this.#view = view;
    this.beginLook();
    this.endLook();
  }

  /** Before the heads are read. */
  beginLook(): void {
    this.#nextPackets = this.#view.bar0.read32(REG.VFGPRC);
    this.#nextOctets = this.#view.bar0.read32(REG.VFGORC_LSB);
  }

  /** The most descriptors consumed since the heads of the last look; after the heads are read. */
  most(bufferBytes: number): number {
    const bar0 = this.#view.bar0;
    const packets = (bar0.read32(REG.VFGPRC) - this.#earliestPackets) >>> 0;
    const octets = (bar0.read32(REG.VFGORC_LSB) - this.#earliestOctets) >>> 0;
    return packets + (bufferBytes > 0 ? Math.floor(octets / bufferBytes) : octets);
  }

  /** The fewest. */
  least(): number {
    const packets = (this.#nextPackets - this.#latestPackets) | 0;
    return Math.max(0, packets);
  }

  /** The next look measures from this one. */
  endLook(): void {
    this.#latestPackets = this.#view.bar0.read32(REG.VFGPRC);
    this.#earliestPackets = this.#nextPackets;
    this.#earliestOctets = this.#nextOctets;
  }
}

/**
 * Whether a queue may have gone round more often than its head shows, or its head was moved by something else.
 * @param passed head motion of the queue, modulo its ring; `others`: of the other queue
 */
export function mayHaveLapped(
  most: number,
  least: number,
  passed: number,
  others: number,
  slots: number,
): boolean {
  if (most - others >= passed + slots) return true; // it may have gone round once more
  return most < passed + others || least > passed + others; // the head was moved by something else: reprogrammed
}
