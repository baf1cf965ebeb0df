import { describe, expect, it } from 'vitest';
import { CoverageCounter } from '../../../src/simulation/world/coverage-counter.js';
import { Interleavings } from '../../../src/simulation/world/interleavings.js';

const PAGES = 4;

function watched() {
  const coverage = new CoverageCounter();
  return { coverage, seen: new Interleavings(coverage), due: new Uint8Array(PAGES) };
}

describe('interleavings of DMA and copying', () => {
  it('sees a burst torn by the copy in the first round, whose pages become due while it is under way', () => {
    const { coverage, seen, due } = watched();
    seen.round(null);
    seen.landed(2, 500, 'round', due);
    due.fill(1);
    seen.landed(2, 1_000, 'round', due);
    due[2] = 0;
    seen.landed(2, 2_000, 'round', due);
    seen.landed(2, 2_500, 'round', due);
    expect(coverage.toRecord()).toEqual({
      'interleaving:write-before-copy': 1,
      'interleaving:write-after-copy': 1,
      'interleaving:copy-torn': 1,
    });
  });

  it('takes writes that are far apart for two bursts, and pages that are not of a later round for none', () => {
    const { coverage, seen, due } = watched();
    due[1] = 1;
    seen.round(due);
    seen.landed(0, 1_000, 'round', due);
    seen.landed(1, 1_000, 'round', due);
    due[1] = 0;
    seen.landed(1, 90_000, 'round', due);
    expect(coverage.toRecord()).toEqual({
      'interleaving:write-before-copy': 1,
      'interleaving:write-after-copy': 1,
    });
  });
});
