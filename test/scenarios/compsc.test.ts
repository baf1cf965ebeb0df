/** CompSC on the image that carries its driver: one hop each way under load, and a failure in each phase. */
import { expect, test } from 'vitest';
import { COMPSC } from './assisted.js';
import { assistedTests } from './assisted-tests.js';

const run = assistedTests(COMPSC);

test('there and back: no page differs, the statistics go on, the driver replays its state', async () => {
  const report = await run().hop();
  expect(report.tracker?.counters['writeLockMs']).toBeGreaterThan(0);
  await run().hop();
  const seen = run().end();
  expect(seen.reordered).toBe(0);
}, 180_000);
