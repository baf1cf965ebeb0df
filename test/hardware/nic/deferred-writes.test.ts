/**
 * The engine writes a function's memory through its domain only, so that a domain can hold writes back: all of them
 * together, in order, make what writing at once makes.
 */
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/hardware/bytes.js';
import { IommuDomain } from '../../../src/hardware/iommu/domain.js';
import { psrtypeOffset, TX, txQueueOffset } from '../../../src/hardware/nic/offsets.js';
import { Card, macOf, PEER_MAC, Pool, RxRing, TxRing } from './engine-harness.js';
import { udpPacket } from './packets.js';

const SPLIT = 0x0400_0000;
const ONE_BUFFER = 0x0200_0000;
const LEGACY = 0;

/** Keeps every write until it is told to let go. */
class HeldDomain extends IommuDomain {
  readonly #held: (() => void)[] = [];
  readonly readAt: number[] = [];

  release(): void {
    for (const write of this.#held.splice(0)) write();
  }

  override beforeRead(offset: number): void {
    this.readAt.push(offset);
  }

  override write(offset: number, from: Bytes, fromOffset: number, length: number): void {
    const copy = from.u8.slice(fromOffset, fromOffset + length);
    this.#held.push(() => {
      this.u8.set(copy, offset);
      this.markWritten(offset, length);
    });
  }

  override writeDescriptor(offset: number, a: number, b: number, c: number, d: number): void {
    this.#held.push(() => super.writeDescriptor(offset, a, b, c, d));
  }

  override writeDescriptorEnd(offset: number, c: number, d: number): void {
    this.#held.push(() => super.writeDescriptorEnd(offset, c, d));
  }

  override writeWord(offset: number, value: number): void {
    this.#held.push(() => super.writeWord(offset, value));
  }
}

/** Frames in by way of one Rx mode, frames out with both kinds of write-back. */
function traffic(card: Card, type: number): Pool {
  const pool = new Pool(card, 0);
  card.set(psrtypeOffset(0), 0x1330);
  const rx = new RxRing(pool, { srrctl: type | (2 << 8) | 1 });
  for (let slot = 0; slot < 16; slot++) rx.write(slot, [rx.bufferOf(slot), 0, rx.bufferOf(slot) + 1024, 0]);
  rx.setTail(16);
  for (const bytes of [20, 300, 1400]) {
    card.wire.arriving.push(udpPacket(macOf(0), PEER_MAC, new Uint8Array(bytes).fill(bytes)));
  }
  const tx = new TxRing(pool);
  tx.pushFrame(udpPacket(PEER_MAC, macOf(0), new Uint8Array(200)));
  tx.ring();
  card.run();
  card.shared.words[(txQueueOffset(0) + TX.TDWBAL) >> 2] = 0x7_0100 | 1;
  tx.pushFrame(udpPacket(PEER_MAC, macOf(0), new Uint8Array(60)));
  tx.ring();
  card.run();
  return pool;
}

describe('a domain that holds writes back', () => {
  it.each([
    ['one buffer', ONE_BUFFER],
    ['header split', SPLIT],
    ['legacy', LEGACY],
  ])('is all that stands between the engine and memory (%s)', (_, type) => {
    const direct = traffic(new Card(), type);
    let held: HeldDomain | null = null;
    const card = new Card((handle) => {
      held = new HeldDomain(handle);
      return held;
    });
    const pool = traffic(card, type);
    expect(pool.truthPages()).toEqual([]);
    expect(held!.readAt.length).toBeGreaterThan(8);
    held!.release();
    expect(pool.truthPages()).toEqual(direct.truthPages());
    expect(Buffer.from(pool.memory.u8).equals(Buffer.from(direct.memory.u8))).toBe(true);
    expect(card.wire.sent).toHaveLength(2);
  });
});
