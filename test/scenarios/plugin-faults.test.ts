/**
 * A plugin that throws or hangs, in every method and in its core, on either side: the migration fails, the guest goes on
 * where it is, nothing is left behind, and the next migration succeeds.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { FAULTY, FaultScene } from './fault-scene.js';

let scene: FaultScene;
beforeAll(async () => {
  scene = await FaultScene.open();
});
afterAll(() => scene?.close());
beforeEach(async () => {
  onTestFailed(() => void process.stderr.write(`${scene.shuttle.logs()}\n`));
  await scene.begin();
});
afterEach(() => scene.shuttle.recover());

describe('the plugin throws', () => {
  test.each([
    ['createTracker', 'pre-copy'],
    ['start', 'pre-copy'],
    ['core', 'pre-copy'],
    ['beforeHarvest', 'pre-copy'],
    ['quiesce', 'stop-and-copy'],
    ['saveDevice', 'stop-and-copy'],
    ['restoreDevice', 'stop-and-copy'],
  ])('in %s', async (place, phase) => {
    const report = await scene.shuttle.attempt({
      plugin: FAULTY,
      pluginOptions: { mode: 'shadow-doorbell', 'throw-in': place },
      // a core needs its turns before it throws
      ...(place === 'core' ? { maxBandwidth: 2_000_000 } : {}),
    });
    await scene.expectGuestGoesOn(report, 'failed', phase);
    expect(report.error).toContain('as asked for');
    await scene.expectMigratesAgain();
  });
});

describe('the plugin hangs', () => {
  test.each([
    ['start', 'pre-copy'],
    ['core', 'pre-copy'],
    ['saveDevice', 'stop-and-copy'],
  ])('in %s', async (place, phase) => {
    const report = await scene.shuttle.attempt({
      plugin: FAULTY,
      pluginOptions: { mode: 'shadow-doorbell', 'hang-in': place },
      ...(place === 'core' ? { maxBandwidth: 2_000_000 } : {}),
    });
    await scene.expectGuestGoesOn(report, 'failed', phase);
    expect(report.error).toContain('faulty');
    await scene.expectMigratesAgain();
  });
});
