import { describe, expect, it } from 'vitest';
import { createCable } from '../../../src/hardware/wire/cable.js';
import { drain, frameOf, send } from './frames-of.js';

describe('cable', () => {
  it('carries frames both ways, in order', () => {
    const [left, right] = createCable();
    send(left, frameOf(2, 1, 60, 1));
    send(left, frameOf(2, 1, 1514, 2));
    send(right, frameOf(1, 2, 200, 3));
    expect(drain(right)).toEqual([frameOf(2, 1, 60, 1), frameOf(2, 1, 1514, 2)]);
    expect(drain(left)).toEqual([frameOf(1, 2, 200, 3)]);
    expect(left.stats).toMatchObject({ txFrames: 2, txBytes: 1574, rxFrames: 1, rxBytes: 200 });
  });

  it('wakes the receiver at the flush, not before', () => {
    const [left, right] = createCable();
    let woken = 0;
    right.onWake = () => woken++;
    left.transmit(frameOf(2, 1), 0, 60);
    left.transmit(frameOf(2, 1), 0, 60);
    expect(woken).toBe(0);
    left.flush();
    left.flush();
    expect(woken).toBe(1);
  });

  it('keeps what the sink refused and offers it again', () => {
    const [left, right] = createCable();
    send(left, frameOf(2, 1, 60, 7));
    expect(right.receive(() => false, 10)).toBe(0);
    expect(drain(right)).toEqual([frameOf(2, 1, 60, 7)]);
  });

  it('loses and counts what does not fit', () => {
    const [left, right] = createCable({ ringBytes: 32768 });
    const frame = frameOf(2, 1, 1500);
    let taken = 0;
    for (let i = 0; i < 100; i++) if (left.transmit(frame, 0, frame.length)) taken++;
    expect(taken).toBeGreaterThan(15);
    expect(taken).toBeLessThan(23);
    expect(left.stats.txDropped).toBe(100 - taken);
    expect(drain(right)).toHaveLength(taken);
  });

  it('is down at both ends once one end is closed, and says so', async () => {
    const [left, right] = createCable();
    let woken = 0;
    right.onWake = () => woken++;
    await left.close();
    expect([left.linkUp, right.linkUp, woken]).toEqual([false, false, 1]);
    expect(send(right, frameOf(1, 2))).toBe(false);
    expect(right.stats.txDropped).toBe(1);
  });
});
