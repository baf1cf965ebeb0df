/**
 * A driver that stops a queue and programs its next ring without waiting, while the engine is in the middle of a packet of
 * the old one: the next ring's tail and addresses must not be taken for the old ring's.
 */
import { describe, expect, it } from 'vitest';
import { IommuDomain } from '../../../src/hardware/iommu/domain.js';
import { RX, rxQueueOffset, TX, txQueueOffset } from '../../../src/hardware/nic/offsets.js';
import { writeQueueControl, zeroQueueHead } from '../../../src/hardware/nic/queue-state.js';
import { REGION } from '../../../src/hardware/nic/shared.js';
import { Card, macOf, PEER_MAC, Pool, RxRing, TxRing } from './engine-harness.js';
import { udpPacket } from './packets.js';

const HEAD_WORD = 0x7_0100;
const UNPOSTED_BUFFER = 0x3f_0000;

/** The guest's other core runs once, when the device looks up the first address of a packet. */
class WatchedDomain extends IommuDomain {
  onAccess: (() => void) | null = null;

  override translate(low: number, high: number, bytes: number, write: boolean): number {
    const act = this.onAccess;
    this.onAccess = null;
    act?.();
    return super.translate(low, high, bytes, write);
  }
}

interface Scene {
  readonly card: Card;
  readonly pool: Pool;
  readonly domain: WatchedDomain;
}

function scene(): Scene {
  let domain: WatchedDomain | null = null;
  const card = new Card((handle) => {
    domain = new WatchedDomain(handle);
    return domain;
  });
  const pool = new Pool(card, 0);
  return { card, pool, domain: domain! };
}

const toGuest = (): Uint8Array => udpPacket(macOf(0), PEER_MAC, new Uint8Array(100));
const fromGuest = (): Uint8Array => udpPacket(PEER_MAC, macOf(0), new Uint8Array(100));

describe('a queue that is stopped in the middle of a packet', () => {
  it('sends nothing more of its old ring, and reports no head to the new address', () => {
    const { card, pool, domain } = scene();
    const { words } = card.shared;
    const block = txQueueOffset(0);
    const tx = new TxRing(pool);
    for (let i = 0; i < 3; i++) tx.pushFrame(fromGuest());
    tx.ring();
    domain.onAccess = () => {
      writeQueueControl(card.shared, 'tx', 0, 0);
      words[(block + TX.TDWBAL) >> 2] = HEAD_WORD | 1;
      zeroQueueHead(card.shared, 'tx', 0);
      words[(block + TX.TDT) >> 2] = 0;
    };
    card.run();
    expect(card.wire.sent).toHaveLength(0);
    expect(pool.memory.view.getInt32(HEAD_WORD, true)).toBe(0);
    expect(words[(block + TX.TDH) >> 2]).toBe(0);
  });

  it('uses no context that a reset took away', () => {
    const { card, pool, domain } = scene();
    const tx = new TxRing(pool);
    tx.pushFrame(fromGuest());
    tx.ring();
    domain.onAccess = () => {
      writeQueueControl(card.shared, 'tx', 0, 0);
      card.shared.words.fill(0, REGION.txContext, REGION.txContext + 8);
    };
    card.run();
    expect(card.wire.sent).toHaveLength(0);
  });

  it('takes no slot of its old ring for posted that only the new tail reaches', () => {
    const { card, pool, domain } = scene();
    const { words } = card.shared;
    const block = rxQueueOffset(0);
    const rx = new RxRing(pool);
    for (let slot = 0; slot < 32; slot++) rx.write(slot, [UNPOSTED_BUFFER, 0, 0, 0]);
    for (let slot = 0; slot < 2; slot++) rx.write(slot, [rx.bufferOf(slot), 0, 0, 0]);
    rx.setTail(2);
    for (let i = 0; i < 8; i++) card.wire.arriving.push(toGuest());
    domain.onAccess = () => {
      writeQueueControl(card.shared, 'rx', 0, 0);
      zeroQueueHead(card.shared, 'rx', 0);
      words[(block + RX.RDT) >> 2] = 31;
    };
    card.run();
    expect(pool.truthPages()).not.toContain(UNPOSTED_BUFFER >> 12);
    expect(words[(block + RX.RDH) >> 2]).toBe(0);
  });
});
