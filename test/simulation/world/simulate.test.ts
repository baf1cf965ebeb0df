/** One seed, one run: it ends, it is the same run each time, and a tracker that tracks nothing is found out. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Cast } from '../../../src/simulation/world/cast.js';
import { simulateWith } from '../../../src/simulation/world/simulate.js';
import { PLAIN_GUEST } from './plain-guest.js';
import { plainTraffic } from './plain-traffic.js';

const cast: Cast = { guest: async () => PLAIN_GUEST, traffic: plainTraffic };
const NONE = fileURLToPath(new URL('../../../../plugins/none', import.meta.url));

test.each(['scan', 'shadow-doorbell'])('%s: migrations without faults are committed', async (mode) => {
  for (let seed = 1; seed <= 5; seed++) {
    const result = await simulateWith(cast, { seed, mode, faults: [] });
    expect(result.problems, `seed ${seed}`).toEqual([]);
    expect(result.figures['committed']).toBe(result.figures['migrations']);
  }
});

test('the same seed is the same run', async () => {
  const first = await simulateWith(cast, { seed: 7, faults: [] });
  const second = await simulateWith(cast, { seed: 7, faults: [] });
  expect(second).toEqual(first);
  const third = await simulateWith(cast, { seed: 8, faults: [] });
  expect(third.logHash).not.toBe(first.logHash);
});

test('a tracker that tracks nothing loses pages, and they are named', async () => {
  const results = [];
  for (let seed = 1; seed <= 6; seed++)
    results.push(await simulateWith(cast, { seed, plugin: NONE, faults: [] }));
  const lost = results.filter(({ problems }) => problems.some(({ pages }) => (pages?.length ?? 0) > 0));
  expect(lost.length).toBeGreaterThan(2);
});
