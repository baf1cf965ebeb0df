import { describe, expect, it } from 'vitest';
import {
  LINKS,
  LINKS_UP,
  vfgprcOffset,
  vfgptcOffset,
  vteitrOffset,
} from '../../../src/hardware/nic/offsets.js';
import { isQueueActive } from '../../../src/hardware/nic/queue-state.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, RxRing, TxRing } from './engine-harness.js';

describe('engine', () => {
  it('puts a frame from the wire into the queue of the pool that owns its address', () => {
    const card = new Card();
    const pool = new Pool(card, 3);
    const ring = new RxRing(pool);
    pool.enableInterrupts();
    ring.post(8);
    const frame = frameOf(macOf(3), PEER_MAC, 100);
    card.wire.arriving.push(frame);
    card.run();
    expect(ring.payload(0)).toEqual(frame);
    expect(ring.status(0)).toBe(3);
    expect(ring.head).toBe(1);
    expect(card.get(vfgprcOffset(3))).toBe(1);
    expect(card.messages).toEqual([{ requester: 4, data: 0 }]);
    // payload page and ring page, nothing else
    expect(pool.truthPages()).toEqual([ring.base >> 12, ring.buffers >> 12]);
  });

  it('sends a frame to the wire, reports it and raises the queue', () => {
    const card = new Card();
    const pool = new Pool(card, 40);
    const ring = new TxRing(pool, { queue: 1 });
    pool.enableInterrupts();
    const frame = frameOf(PEER_MAC, macOf(40), 200);
    const slot = ring.pushFrame(frame);
    ring.ring();
    card.run();
    expect(card.wire.sent).toEqual([frame]);
    expect(ring.isDone(slot)).toBe(true);
    expect(ring.head).toBe(1);
    expect(card.get(vfgptcOffset(40))).toBe(1);
    expect(card.messages).toEqual([{ requester: 41, data: 1 }]);
    expect(pool.truthPages()).toEqual([ring.base >> 12]);
  });

  it('holds interrupts while more waits than a step takes, for no longer than any queue bears', () => {
    const card = new Card();
    const pools = [2, 3, 4, 5].map((number) => new Pool(card, number));
    const rings = pools.map((pool) => new RxRing(pool, { count: 256 }));
    for (const [index, pool] of pools.entries()) {
      pool.enableInterrupts();
      rings[index]!.post(250);
    }
    const arrive = (frames: number): void => {
      for (let i = 0; i < frames; i++) card.wire.arriving.push(frameOf(macOf(2 + (i % 4)), PEER_MAC));
    };
    // a quarter of a step's packets for each queue
    arrive(1000);
    for (const told of [0, 0, 0, 4]) {
      card.engine.step();
      expect(card.messages).toHaveLength(told);
    }
    card.engine.step();
    card.nowNs += 4e6;
    card.engine.step();
    expect(card.messages).toHaveLength(8);
    // no more than it can take: at once
    card.wire.arriving.length = 0;
    arrive(1);
    card.engine.step();
    expect(card.messages).toHaveLength(9);
  });

  it('tells of everything before a queue stops', () => {
    const card = new Card();
    const [pool, other] = [new Pool(card, 1), new Pool(card, 2)];
    const [ring, another] = [new RxRing(pool), new RxRing(other)];
    for (const each of [pool, other]) each.enableInterrupts();
    ring.post(60);
    another.post(60);
    for (let i = 0; i < 64; i++) card.wire.arriving.push(frameOf(macOf(1 + (i % 2)), PEER_MAC));
    card.engine.step();
    expect(card.messages).toEqual([]);
    let activeWhenTold: boolean | null = null;
    card.onMessage = () => {
      activeWhenTold ??= isQueueActive(card.shared, 'rx', 2);
    };
    ring.disable();
    card.engine.step();
    expect(card.messages).toHaveLength(2);
    expect(activeWhenTold).toBe(true);
  });

  it('acknowledges enable and disable at a step', () => {
    const card = new Card();
    const pool = new Pool(card, 0);
    const ring = new RxRing(pool);
    expect(isQueueActive(card.shared, 'rx', 0)).toBe(true);
    ring.disable();
    expect(isQueueActive(card.shared, 'rx', 0)).toBe(true);
    card.engine.step();
    expect(isQueueActive(card.shared, 'rx', 0)).toBe(false);
    ring.post(4);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC));
    card.run();
    expect(ring.head).toBe(0);
    expect(card.wire.arriving).toHaveLength(0);
  });

  it('raises one interrupt for a batch', () => {
    const card = new Card();
    const pool = new Pool(card, 1);
    const ring = new RxRing(pool);
    pool.enableInterrupts();
    ring.post(40);
    for (let i = 0; i < 40; i++) card.wire.arriving.push(frameOf(macOf(1), PEER_MAC, 60, i));
    card.engine.step();
    expect(ring.head).toBe(40);
    expect(card.messages).toHaveLength(1);
  });

  it('raises an interrupt only when head and write-back can be seen', () => {
    const card = new Card();
    const pool = new Pool(card, 1);
    const ring = new RxRing(pool);
    pool.enableInterrupts();
    ring.post(4);
    const seen: number[] = [];
    card.onMessage = () => seen.push(ring.head, ring.status(0) & 1);
    card.wire.arriving.push(frameOf(macOf(1), PEER_MAC));
    card.run();
    expect(seen).toEqual([1, 1]);
  });

  it('sends a moderated interrupt when its interval is over, and says when that is', () => {
    const card = new Card();
    const pool = new Pool(card, 1);
    const ring = new RxRing(pool);
    pool.enableInterrupts();
    card.set(vteitrOffset(1, 0), 0xc8);
    ring.post(8);
    const startNs = card.nowNs;
    for (let i = 0; i < 3; i++) {
      card.wire.arriving.push(frameOf(macOf(1), PEER_MAC));
      card.run();
    }
    expect(card.messages).toHaveLength(1);
    // 0xc8: 25 units of 2 us
    expect(card.engine.nextDueNs()).toBe(startNs + 50_000);
    card.nowNs = startNs + 50_000;
    card.engine.step();
    expect(card.messages).toHaveLength(2);
    expect(card.engine.nextDueNs()).toBe(Infinity);
  });

  it('shows the link as the wire has it', () => {
    const card = new Card();
    card.engine.step();
    expect(card.get(LINKS) & LINKS_UP).not.toBe(0);
    card.wire.linkUp = false;
    card.engine.step();
    expect(card.get(LINKS) & LINKS_UP).toBe(0);
  });

  it('does at most its budgets in a step', () => {
    const card = new Card();
    const ring = new RxRing(new Pool(card, 0), { count: 1024 });
    ring.post(1000);
    for (let i = 0; i < 1000; i++) card.wire.arriving.push(frameOf(macOf(0), PEER_MAC));
    expect(card.engine.step()).toBe(64);
    expect(ring.head).toBe(64);
  });

  it('leaves ENABLE to the register side once it is closed', () => {
    const card = new Card();
    const ring = new RxRing(new Pool(card, 0));
    card.engine.close();
    ring.disable();
    expect(isQueueActive(card.shared, 'rx', 0)).toBe(false);
  });
});
