import { describe, expect, it } from 'vitest';
import { failuresText } from '../../src/cli/simulate-text.js';

const failure = (seed: number, problems = 1) => ({
  seed,
  outcome: 'failed' as const,
  problems: Array.from({ length: problems }, (_, i) => ({ promise: 'a promise', sentence: `broken ${i}` })),
  replay: `srvm simulate --seed ${seed}`,
});

describe('the failures of a campaign, in words', () => {
  it('says nothing when all passed', () => {
    expect(failuresText([], [])).toBe('');
  });

  it('says what was broken and how to replay it', () => {
    expect(failuresText([failure(7, 5)], [7])).toBe(
      '\nseed 7 failed\n  a promise: broken 0\n  a promise: broken 1\n  a promise: broken 2\n  and 2 more\n' +
        '  srvm simulate --seed 7\n',
    );
  });

  it('names every seed, also those of which no report was kept', () => {
    const seeds = Array.from({ length: 20 }, (_, i) => 100 + i);
    const lines = failuresText(
      seeds.slice(0, 15).map((seed) => failure(seed)),
      seeds,
    ).split('\n');
    expect(lines.filter((line) => line.startsWith('seed '))).toHaveLength(8);
    expect(lines.at(-2)).toBe('and 12 more: 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119');
  });
});
