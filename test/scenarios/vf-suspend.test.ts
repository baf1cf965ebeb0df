/** Suspend and resume on the image that carries its driver: one hop each way under load, and a failure in each phase. */
import { expect, test } from 'vitest';
import { SUSPEND } from './assisted.js';
import { assistedTests } from './assisted-tests.js';
import { repliesGoOn, until } from './shuttle.js';

const run = assistedTests(SUSPEND);

test('an administrator suspends and resumes the VF', async () => {
  const { shuttle, probe } = run();
  const set = (state: string) => shuttle.here.qmp.execute('x-srvm-link-set', { vf: 0, change: { state } });
  await set('suspend');
  const { sent } = probe.report();
  // what was answered before is read meanwhile, however much the station had to catch up with
  await until('more was sent', () => probe.report().sent > sent + 200);
  const { replies } = probe.report();
  await until('still more was sent', () => probe.report().sent > sent + 400);
  // a reply may have been on its way
  expect(probe.report().replies - replies).toBeLessThan(20);
  await set('suspend');
  await set('resume');
  await repliesGoOn(probe);
  await set('migrate');
  await set('cancelmigration');
  await repliesGoOn(probe);
  await expect(set('fly')).rejects.toThrow('one of auto');
}, 180_000);

test('there and back: no page differs, nothing comes twice, both times are told', async () => {
  const report = await run().hop();
  expect(report.tracker?.counters['suspendMs']).toBeGreaterThan(0);
  const { result } = await run().shuttle.here.qmp.execute<{ result: { tracker: { counters: object } } }>(
    'x-srvm-query-incoming',
  );
  expect(result.tracker.counters).toHaveProperty('resumeMs');
  await run().hop();
  expect(run().end()).toMatchObject({ reordered: 0, duplicates: 0 });
}, 180_000);
