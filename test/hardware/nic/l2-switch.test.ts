import { describe, expect, it } from 'vitest';
import {
  FCTRL,
  FCTRL_UPE,
  mpsarLoOffset,
  mtaOffset,
  PFDTXGSWC,
  pfVfSpoofOffset,
  rahOffset,
  SRRCTL_DROP_EN,
  SSVPC,
  VLNCTRL,
  VLNCTRL_VFE,
  VLVF_VALID,
  VMOLR_AUPE,
  VMOLR_BAM,
  VMOLR_MPE,
  VMOLR_ROMPE,
  VMOLR_UPE,
  VMOLR_VPE,
  VT_CTL,
  VT_CTL_REPLICATION,
  vfreOffset,
  vftaOffset,
  vlvfbOffset,
  vlvfOffset,
  vmecmOffset,
  vmolrOffset,
} from '../../../src/hardware/nic/offsets.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RxRing, TxRing } from './engine-harness.js';
import { tagged } from './packets.js';

const BROADCAST = new Uint8Array(6).fill(0xff);
const MULTICAST = Uint8Array.of(0x01, 0x00, 0x5e, 0x01, 0x02, 0x03);
const LOOPBACK = 1 << 18;

/** Pools 0, 1 and 40 with Rx rings, and pool 0's Tx ring. */
function rig(posted = 16): { card: Card; rings: Record<0 | 1 | 40, RxRing>; tx: TxRing } {
  const card = new Card();
  const pools = [0, 1, 40].map((index) => new Pool(card, index));
  const rings = pools.map((pool) => new RxRing(pool));
  for (const ring of rings) if (posted > 0) ring.post(posted);
  return { card, rings: { 0: rings[0]!, 1: rings[1]!, 40: rings[2]! }, tx: new TxRing(pools[0]!) };
}

/** Which pools got something. */
function receivers(rings: Record<number, RxRing>): number[] {
  return Object.entries(rings)
    .filter(([, ring]) => ring.head > 0)
    .map(([pool]) => Number(pool));
}

function arrive(frame: Uint8Array, prepare: (card: Card) => void = () => {}): number[] {
  const { card, rings } = rig();
  prepare(card);
  card.wire.arriving.push(frame);
  card.run();
  expect(card.wire.arriving).toHaveLength(0);
  return receivers(rings);
}

function vlan(card: Card, vid: number, low: number, high = 0): void {
  card.set(VLNCTRL, VLNCTRL_VFE);
  card.setBit(vftaOffset(vid >> 5), 1 << (vid & 31));
  card.set(vlvfOffset(3), VLVF_VALID | vid);
  card.set(vlvfbOffset(3, 0), low);
  card.set(vlvfbOffset(3, 1), high);
}

describe('from the wire', () => {
  it('unicast goes to the pools of its address, and to nobody else', () => {
    expect(arrive(frameOf(macOf(40), PEER_MAC))).toEqual([40]);
    expect(arrive(frameOf(PEER_MAC, PEER_MAC))).toEqual([]);
    expect(arrive(frameOf(macOf(0), PEER_MAC), (card) => card.setBit(mpsarLoOffset(0), 3))).toEqual([0, 1]);
  });

  it('a filter that is taken away works no longer', () => {
    const { card, rings } = rig();
    for (const valid of [true, false]) {
      if (!valid) card.set(rahOffset(0), 0);
      card.wire.arriving.push(frameOf(macOf(0), PEER_MAC));
      card.run();
    }
    expect(rings[0].head).toBe(1);
  });

  it('broadcast goes to all with BAM, each with its own copy', () => {
    const { card, rings } = rig();
    card.set(vmolrOffset(1), VMOLR_AUPE);
    const frame = frameOf(BROADCAST, PEER_MAC, 90);
    card.wire.arriving.push(frame);
    card.run();
    expect(receivers(rings)).toEqual([0, 40]);
    expect(rings[40].payload(0)).toEqual(frame);
  });

  it('multicast goes by hash to ROMPE, and to MPE whatever it is', () => {
    const hash = ((MULTICAST[4]! >> 4) | (MULTICAST[5]! << 4)) & 0xfff;
    expect(arrive(frameOf(MULTICAST, PEER_MAC))).toEqual([]);
    expect(
      arrive(frameOf(MULTICAST, PEER_MAC), (card) => {
        card.set(mtaOffset(hash >> 5), 1 << (hash & 31));
        card.setBit(vmolrOffset(1), VMOLR_ROMPE);
      }),
    ).toEqual([1]);
    expect(arrive(frameOf(MULTICAST, PEER_MAC), (card) => card.setBit(vmolrOffset(40), VMOLR_MPE))).toEqual([
      40,
    ]);
  });

  it('a promiscuous pool gets unicast of others too', () => {
    expect(arrive(frameOf(macOf(0), PEER_MAC), (card) => card.setBit(vmolrOffset(1), VMOLR_UPE))).toEqual([
      0, 1,
    ]);
  });

  it('without replication one pool gets a frame for several', () => {
    expect(
      arrive(frameOf(BROADCAST, PEER_MAC), (card) =>
        card.set(VT_CTL, card.get(VT_CTL) & ~VT_CTL_REPLICATION),
      ),
    ).toEqual([0]);
  });

  it('the default pool takes what passed the port and found no pool', () => {
    const toPool1 = VT_CTL_REPLICATION | (1 << 7);
    expect(arrive(frameOf(PEER_MAC, PEER_MAC), (card) => card.set(VT_CTL, toPool1))).toEqual([]);
    expect(
      arrive(frameOf(PEER_MAC, PEER_MAC), (card) => {
        card.set(VT_CTL, toPool1);
        card.set(FCTRL, FCTRL_UPE);
      }),
    ).toEqual([1]);
  });

  it('a pool without VFRE gets nothing', () => {
    expect(arrive(frameOf(BROADCAST, PEER_MAC), (card) => card.set(vfreOffset(0), 1))).toEqual([0, 40]);
  });

  it('one full receiver without drop enable holds the frame for all', () => {
    const { card, rings } = rig(0);
    rings[0].post(4);
    rings[40].post(4);
    card.wire.arriving.push(frameOf(BROADCAST, PEER_MAC));
    card.run();
    expect(receivers(rings)).toEqual([]);
    rings[1].post(4);
    card.run();
    expect(receivers(rings)).toEqual([0, 1, 40]);
  });

  it('one full receiver with drop enable loses it alone', () => {
    const card = new Card();
    const first = new RxRing(new Pool(card, 0), { srrctl: 0x0200_0402 | SRRCTL_DROP_EN });
    const second = new RxRing(new Pool(card, 1));
    second.post(4);
    card.wire.arriving.push(frameOf(BROADCAST, PEER_MAC));
    card.run();
    expect([first.head, second.head]).toEqual([0, 1]);
  });
});

describe('VLANs', () => {
  it('a tagged frame goes to the VLAN its pools alone', () => {
    const toAll = tagged(frameOf(BROADCAST, PEER_MAC), 100);
    expect(arrive(toAll, (card) => vlan(card, 100, 2, 1 << 8))).toEqual([1, 40]);
    expect(arrive(tagged(frameOf(macOf(0), PEER_MAC), 100), (card) => vlan(card, 100, 2))).toEqual([]);
    expect(arrive(tagged(frameOf(macOf(0), PEER_MAC), 101), (card) => vlan(card, 100, 1))).toEqual([]);
  });

  it('VPE takes every VLAN, AUPE untagged frames', () => {
    const frame = tagged(frameOf(macOf(0), PEER_MAC), 77);
    expect(
      arrive(frame, (card) => {
        vlan(card, 100, 1);
        card.setBit(vmolrOffset(0), VMOLR_VPE);
      }),
    ).toEqual([0]);
    expect(
      arrive(frameOf(macOf(0), PEER_MAC), (card) => {
        vlan(card, 100, 1);
        card.set(vmolrOffset(0), VMOLR_BAM);
      }),
    ).toEqual([]);
  });

  it('a VLAN that the port does not carry reaches nobody, the default pool neither', () => {
    expect(
      arrive(tagged(frameOf(macOf(0), PEER_MAC), 100), (card) => {
        vlan(card, 100, 1);
        card.set(vftaOffset(100 >> 5), 0);
        card.set(VT_CTL, VT_CTL_REPLICATION | (1 << 7));
      }),
    ).toEqual([]);
  });
});

describe('between functions', () => {
  function sendFrom0(
    frame: Uint8Array,
    prepare: (card: Card) => void = () => {},
  ): { card: Card; rings: Record<number, RxRing> } {
    const { card, rings, tx } = rig();
    card.set(PFDTXGSWC, 1);
    prepare(card);
    tx.pushFrame(frame);
    tx.ring();
    card.run();
    expect(tx.head).toBe(1);
    return { card, rings };
  }

  it('unicast stays inside the card and is marked as such', () => {
    const frame = frameOf(macOf(40), macOf(0), 300);
    const { card, rings } = sendFrom0(frame);
    expect(receivers(rings)).toEqual([40]);
    expect(rings[40]!.payload(0)).toEqual(frame);
    expect(rings[40]!.status(0) & LOOPBACK).not.toBe(0);
    expect(card.wire.sent).toHaveLength(0);
  });

  it('without the loopback switch it goes to the wire', () => {
    const { card, rings } = sendFrom0(frameOf(macOf(40), macOf(0)), (c) => c.set(PFDTXGSWC, 0));
    expect(receivers(rings)).toEqual([]);
    expect(card.wire.sent).toHaveLength(1);
  });

  it('broadcast goes both ways, not back to its sender', () => {
    const { card, rings } = sendFrom0(frameOf(BROADCAST, macOf(0)));
    expect(receivers(rings)).toEqual([1, 40]);
    expect(card.wire.sent).toHaveLength(1);
  });

  it('unicast to a stranger goes to the wire, a promiscuous pool listens', () => {
    const { card, rings } = sendFrom0(frameOf(PEER_MAC, macOf(0)), (c) =>
      c.setBit(vmolrOffset(1), VMOLR_UPE),
    );
    expect(receivers(rings)).toEqual([1]);
    expect(card.wire.sent).toHaveLength(1);
  });

  it('a frame longer than the port takes is kept from receivers here too', () => {
    const { card, rings } = sendFrom0(frameOf(macOf(1), macOf(0), 3000));
    expect(receivers(rings)).toEqual([]);
    expect(card.wire.sent).toHaveLength(0);
  });

  it('a full receiver makes the sender wait', () => {
    const { card, rings, tx } = rig(0);
    card.set(PFDTXGSWC, 1);
    tx.pushFrame(frameOf(macOf(1), macOf(0)));
    tx.ring();
    card.run();
    expect(tx.head).toBe(0);
    rings[1].post(1);
    card.run();
    expect(tx.head).toBe(1);
  });
});

describe('anti-spoof', () => {
  function attempt(
    frame: Uint8Array,
    checks: number,
    prepare: (card: Card) => void = () => {},
  ): { card: Card; sent: number } {
    const { card, tx } = rig();
    card.set(pfVfSpoofOffset(0), checks);
    prepare(card);
    tx.pushFrame(frame);
    tx.ring();
    card.run();
    expect(tx.isDone(0)).toBe(true);
    return { card, sent: card.wire.sent.length };
  }

  it('drops a foreign source address, counts it and names the pool', () => {
    const { card, sent } = attempt(frameOf(PEER_MAC, macOf(1)), 1);
    expect(sent).toBe(0);
    expect(card.get(SSVPC)).toBe(1);
    expect(card.get(vmecmOffset(0))).toBe(1);
    expect(attempt(frameOf(PEER_MAC, macOf(0)), 1).sent).toBe(1);
    expect(attempt(frameOf(PEER_MAC, macOf(1)), 0).sent).toBe(1);
  });

  it('drops a VLAN that the pool is not in', () => {
    const frame = tagged(frameOf(PEER_MAC, macOf(0)), 100);
    expect(attempt(frame, 0x100).sent).toBe(0);
    expect(attempt(frame, 0x100, (card) => vlan(card, 100, 1)).sent).toBe(1);
    expect(attempt(frame, 0x100, (card) => vlan(card, 100, 2)).sent).toBe(0);
  });
});
