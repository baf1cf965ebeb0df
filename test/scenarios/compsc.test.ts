/** CompSC on the image that carries its driver: one hop each way under load, and a failure in each phase. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AssistedRun, COMPSC, STEPS } from './assisted.js';

let run: AssistedRun;
beforeAll(async () => {
  run = await AssistedRun.open(COMPSC);
});
afterAll(() => run?.close());

test.each(STEPS)(
  'a failure after %s is undone',
  async (step, phase) => {
    await run.expectUndone(step, phase);
  },
  60_000,
);

test('there and back: no page differs, the statistics go on, the driver replays its state', async () => {
  const report = await run.hop();
  expect(report.tracker?.counters['writeLockMs']).toBeGreaterThan(0);
  await run.hop();
  const seen = run.end();
  expect(seen.reordered).toBe(0);
}, 60_000);
