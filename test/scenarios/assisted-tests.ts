/** What every method with a driver's help is tested for: a failure in each phase is undone. */
import { afterAll, beforeAll, test } from 'vitest';
import { type AssistedGuest, AssistedRun, STEPS } from './assisted.js';

/** Adds to the test file the tests that are common to all; gives the run that its own go on with. */
export function assistedTests(guest: AssistedGuest): () => AssistedRun {
  let run: AssistedRun;
  beforeAll(async () => {
    run = await AssistedRun.open(guest);
  });
  afterAll(() => run?.close());

  test.each(STEPS)(
    'a failure after %s is undone',
    async (step, phase) => {
      await run.expectUndone(step, phase);
    },
    180_000,
  );
  return () => run;
}
