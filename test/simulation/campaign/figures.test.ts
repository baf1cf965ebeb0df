import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type LoadedPlugin, loadPlugin, resolveOptions } from '../../../src/plugin/loader.js';
import type { MeasuredCosts } from '../../../src/simulation/campaign/costs.js';
import { downtimeFigure } from '../../../src/simulation/campaign/downtime-figures.js';
import { trackerFigure } from '../../../src/simulation/campaign/tracker-figures.js';

/** Not of this machine: a figure depends on nothing else. */
const COSTS: MeasuredCosts = {
  measuredOn: 'a test',
  engineStepNs: 300,
  engineFrame: { ns: 400, nsPerByte: 0.2 },
  guestFrameNs: 30,
  trackerTurnNs: 1000,
  trackerDescriptorNs: 40,
  sleepCpuNs: 15_000,
  wakeLateNs: 60_000,
  pageNs: 1500,
  zeroPageNs: 150,
};

let plugin: LoadedPlugin;
beforeAll(async () => {
  plugin = await loadPlugin(fileURLToPath(new URL('../../../../plugins/srvm', import.meta.url)));
});

const tracked = (mode: string, what: { rate: number; ring: number; cores: number }) =>
  trackerFigure(
    {
      plugin: plugin.definition,
      pluginOptions: resolveOptions(plugin.definition, { mode }),
      frameBytes: 512,
      framesPerSecond: what.rate,
      ringSlots: what.ring,
      cores: what.cores,
    },
    COSTS,
  );

describe.each(['scan', 'shadow-doorbell'])('figures of %s in virtual time', (mode) => {
  it('are the same each time', async () => {
    const what = { rate: 400_000, ring: 512, cores: 2 };
    expect(await tracked(mode, what)).toEqual(await tracked(mode, what));
  });

  it('show that a larger ring and fewer frames let the core sleep', async () => {
    const busy = await tracked(mode, { rate: 812_000, ring: 64, cores: 4 });
    const calm = await tracked(mode, { rate: 100_000, ring: 512, cores: 4 });
    expect(busy.trackerPercent).toBeGreaterThan(3 * calm.trackerPercent);
    expect(calm.trackerPercent).toBeGreaterThan(0);
    expect(Math.abs(calm.framesPerSecond - 100_000)).toBeLessThan(2000);
  });
});

describe('downtime in virtual time', () => {
  const stopped = (dirtyPagesPerSecond: number, linkBytesPerSecond: number) =>
    downtimeFigure(
      { dirtyPagesPerSecond, linkBytesPerSecond, workingSetPages: 2048, downtimeLimitMs: 20 },
      COSTS,
    );

  it('grows with the rate at which pages are dirtied', async () => {
    const slow = await stopped(1_000, 1.25e9);
    const fast = await stopped(1_000_000, 1.25e9);
    expect(slow.outcome).toBe('completed');
    expect(fast.downtimeMs).toBeGreaterThan(slow.downtimeMs);
    expect(fast.pagesSent).toBeGreaterThan(slow.pagesSent);
    expect(await stopped(1_000_000, 1.25e9)).toEqual(fast);
  });
});
