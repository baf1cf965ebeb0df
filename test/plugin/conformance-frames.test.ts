/** A plugin that may lose or duplicate packets is held to exactly what it says. */
import { describe, expect, it } from 'vitest';
import { judgeFrames } from '../../src/plugin/conformance/frames.js';

const strict = { mayLosePackets: false, mayDuplicatePackets: false, mayReorderPackets: false };
const losing = { ...strict, mayLosePackets: true };
const reordering = { ...strict, mayReorderPackets: true };
const doubling = { ...strict, mayDuplicatePackets: true };

describe('frames that the guest received', () => {
  it('are all there, once and in order', () => {
    expect(judgeFrames(strict, [0, 1, 2, 3], 4, 4)).toEqual([]);
  });

  it.each([
    ['a loss', strict, [0, 1, 3], /1 of 4 frames were lost: 2/],
    ['a duplicate', strict, [0, 1, 1, 2, 3], /1 of 4 frames arrived more than once: 1/],
    ['a loss by one that may duplicate', doubling, [0, 2, 3], /lost: 1/],
    ['a duplicate by one that may lose', losing, [0, 1, 0, 2, 3], /more than once: 0/],
    ['another order', { ...losing, mayDuplicatePackets: true }, [0, 2, 1, 3], /frame 1 arrived out of order/],
    ['another order after the switch was over', reordering, [0, 1, 2, 4, 3], /frame 3 arrived out of order/],
    ['a frame from nowhere', strict, [0, 1, 2, 3, 4], /frame 4 arrived, which nobody sent/],
    [
      'a loss after the switch was over',
      losing,
      [0, 1, 2],
      /1 of 4 frames were lost after the switch was over: 3/,
    ],
  ] as const)('%s is seen', (_title, claims, received, message) => {
    expect(judgeFrames(claims, received, 4, 3).join('; ')).toMatch(message);
  });

  it('may be lost, or come twice, where that is claimed', () => {
    expect(judgeFrames(losing, [0, 3], 4, 3)).toEqual([]);
    expect(judgeFrames(doubling, [0, 1, 2, 1, 2, 3], 4, 3)).toEqual([]);
    expect(judgeFrames(reordering, [1, 0, 2, 3], 4, 3)).toEqual([]);
  });
});
