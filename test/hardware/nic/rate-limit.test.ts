/** A port of 1 Gb/s whose engine comes late: what it catches up. */
import { describe, expect, it } from 'vitest';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { Card, frameOf, PEER_MAC } from './engine-harness.js';

/** With CRC, preamble and gap: 12 us on the wire. */
const FRAME_BYTES = 1476;
const FRAME_NS = 12_000;
const BURST_NS = 1_000_000;
/** 512 KiB at 1 Gb/s. */
const BUFFER_NS = 4_194_304;

function cardWithFrames(frames: number): Card {
  const card = new Card();
  card.shared.words[REGION.control + CONTROL.linkSpeedMbps] = 1000;
  arrive(card, frames);
  return card;
}

function arrive(card: Card, frames: number): void {
  for (let i = 0; i < frames; i++) card.wire.arriving.push(frameOf(PEER_MAC, PEER_MAC, FRAME_BYTES));
}

/** Steps while time stands still; returns the frames that were taken. */
function take(card: Card): number {
  const before = card.wire.arriving.length;
  while (card.engine.step() !== 0);
  return before - card.wire.arriving.length;
}

const framesIn = (ns: number): number => Math.floor(ns / FRAME_NS) + 1;

describe('a limited port', () => {
  it('begins with a burst, then says until when it is refused', () => {
    const card = cardWithFrames(200);
    expect(card.engine.limitEndNs()).toBe(Infinity);
    expect(take(card)).toBe(framesIn(BURST_NS));
    const waitNs = card.engine.limitEndNs() - card.nowNs;
    expect(waitNs).toBeGreaterThan(0);
    expect(waitNs).toBeLessThanOrEqual(FRAME_NS);
    card.nowNs += waitNs;
    expect(take(card)).toBe(1);
  });

  it('is refused by no limit where nothing waits, or none is set', () => {
    const card = cardWithFrames(10);
    expect(take(card)).toBe(10);
    expect(card.engine.limitEndNs()).toBe(Infinity);
    card.shared.words[REGION.control + CONTROL.linkSpeedMbps] = 0;
    arrive(card, 2000);
    card.nowNs += 10 * BUFFER_NS;
    expect(take(card)).toBe(2000);
    expect(card.engine.limitEndNs()).toBe(Infinity);
  });

  it.each([
    [2_000_000, 2_000_000],
    [4_000_000, 4_000_000],
    [50_000_000, BUFFER_NS],
  ])('takes, after %d ns away, %d ns of what came meanwhile', (awayNs, caughtUpNs) => {
    const card = cardWithFrames(2000);
    take(card);
    card.nowNs = card.engine.limitEndNs();
    take(card);
    card.nowNs += awayNs;
    const taken = take(card);
    expect(taken).toBeGreaterThanOrEqual(framesIn(caughtUpNs) - 1);
    expect(taken).toBeLessThanOrEqual(framesIn(caughtUpNs));
  });

  it('keeps no more than a burst for a wire that had nothing, and for an engine that was there', () => {
    const card = cardWithFrames(200);
    take(card);
    card.nowNs += 50_000_000;
    // late, and the wire is soon empty: nothing waited in the buffer
    expect(take(card)).toBe(200 - framesIn(BURST_NS));
    for (let i = 0; i < 100; i++) {
      card.nowNs += 100_000;
      expect(card.engine.step()).toBe(0);
    }
    arrive(card, 1000);
    expect(take(card)).toBe(framesIn(BURST_NS));
  });
});
