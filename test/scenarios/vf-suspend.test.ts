/** Suspend and resume on the image that carries its driver: one hop each way under load, and a failure in each phase. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AssistedRun, SUSPEND } from './assisted.js';

let run: AssistedRun;
beforeAll(async () => {
  run = await AssistedRun.open(SUSPEND);
});
afterAll(() => run?.close());

test('there and back: no page differs, nothing comes twice, both times are told', async () => {
  const report = await run.hop();
  expect(report.tracker?.counters['suspendMs']).toBeGreaterThan(0);
  const { result } = await run.shuttle.here.qmp.execute<{ result: { tracker: { counters: object } } }>(
    'x-srvm-query-incoming',
  );
  expect(result.tracker.counters).toHaveProperty('resumeMs');
  await run.hop();
  expect(run.end()).toMatchObject({ reordered: 0, duplicates: 0 });
}, 60_000);
