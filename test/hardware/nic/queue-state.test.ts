import { describe, expect, it } from 'vitest';
import * as at from '../../../src/hardware/nic/offsets.js';
import { settleQueues } from '../../../src/hardware/nic/queue-state.js';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { Card } from './card.js';
import { at32 } from './reading.js';

const EN = at.DCTL_ENABLE;

function withEngine(): Card {
  const card = new Card();
  card.shared.words[REGION.control + CONTROL.engineRunning] = 1;
  return card;
}

describe('ENABLE of a queue', () => {
  it('takes effect at once while no engine is attached', () => {
    const bar = new Card().vf(0);
    bar.write32(0, 0x1028, EN | at.RXDCTL_VME);
    expect(at32(bar, 0x1028)).toBe(EN | at.RXDCTL_VME);
    bar.write32(0, 0x1028, at.RXDCTL_VME);
    expect(at32(bar, 0x1028)).toBe(at.RXDCTL_VME);
  });

  it('reads back only once the engine has acknowledged it, in both directions', () => {
    const card = withEngine();
    const bar = card.vf(40);
    bar.write32(0, 0x2068, EN);
    expect(at32(bar, 0x2068) & EN).toBe(0);
    const changes: unknown[] = [];
    expect(settleQueues(card.shared, (...change) => changes.push(change))).toBe(true);
    expect(changes).toEqual([['tx', 81, false, true]]);
    expect(at32(bar, 0x2068) & EN).toBe(EN);
    bar.write32(0, 0x2068, 0);
    expect(at32(bar, 0x2068) & EN).toBe(EN);
    settleQueues(card.shared, (...change) => changes.push(change));
    expect(changes[1]).toEqual(['tx', 81, true, false]);
    expect(at32(bar, 0x2068) & EN).toBe(0);
    expect(settleQueues(card.shared, null)).toBe(false);
  });

  it('rings the engine for a change, not for a rewrite', () => {
    const card = withEngine();
    const bar = card.vf(0);
    const rings = () => card.shared.words[REGION.control + CONTROL.doorbell]!;
    const before = rings();
    bar.write32(0, 0x1028, EN);
    expect(rings()).toBe(before + 1);
    bar.write32(0, 0x1028, EN | at.RXDCTL_VME);
    expect(rings()).toBe(before + 1);
  });

  it('shows the engine a disable however short, and keeps the head that was zeroed meanwhile', () => {
    const card = withEngine();
    const bar = card.vf(0);
    bar.write32(0, 0x2028, EN);
    settleQueues(card.shared, null);
    // the stock driver's Tx set-up: no wait between disable and enable
    bar.write32(0, 0x2028, at.DCTL_SWFLSH);
    bar.write32(0, 0x2010, 0);
    card.shared.words[0x6010 >> 2] = 55; // the engine finishes what it was at
    bar.write32(0, 0x2028, EN | 0x8_0120);
    const changes: unknown[] = [];
    settleQueues(card.shared, (...change) => changes.push([...change, at32(bar, 0x2010)]));
    expect(changes).toEqual([['tx', 0, true, true, 0]]);
    expect(at32(bar, 0x2028)).toBe(EN | 0x8_0120);
  });

  it('does not keep a zeroed head for a later stop', () => {
    const card = withEngine();
    const bar = card.vf(0);
    bar.write32(0, 0x1010, 0);
    bar.write32(0, 0x1028, EN);
    settleQueues(card.shared, null);
    card.shared.words[0x1010 >> 2] = 9;
    bar.write32(0, 0x1028, 0);
    settleQueues(card.shared, null);
    expect(at32(bar, 0x1010)).toBe(9);
  });
});

describe('head pointers', () => {
  it('take from a VF only 0, and only while the queue is disabled', () => {
    const card = new Card();
    const bar = card.vf(0);
    card.shared.words[0x1010 >> 2] = 12;
    bar.write32(0, 0x1010, 7);
    expect(at32(bar, 0x1010)).toBe(12);
    bar.write32(0, 0x1028, EN);
    bar.write32(0, 0x1010, 0);
    expect(at32(bar, 0x1010)).toBe(12);
    bar.write32(0, 0x1028, 0);
    bar.write32(0, 0x1010, 0);
    expect(at32(bar, 0x1010)).toBe(0);
  });

  it('take from the PF any index below the ring size, while the queue is idle', () => {
    const card = new Card();
    const tdh = at.txQueueOffset(6) + at.TX.TDH;
    card.pf.write32(0, at.txQueueOffset(6) + at.TX.TDLEN, 1024 * 16);
    card.pf.write32(0, tdh, 1023);
    expect(card.pf.read32(0, tdh)).toBe(1023);
    card.pf.write32(0, tdh, 1024);
    expect(card.pf.read32(0, tdh)).toBe(1023);
    card.vf(3).write32(0, 0x2028, EN);
    card.pf.write32(0, tdh, 5);
    expect(card.pf.read32(0, tdh)).toBe(1023);
  });
});
