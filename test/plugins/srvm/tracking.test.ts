/** Both modes against the ground truth, under random interleavings of driver, engine and core in one thread. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import srvm from '../../../plugins/srvm/plugin.js';
import { seededRandom } from '../../../src/hardware/clock.js';
import { guestFrame } from '../../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../../src/plugin/conformance/rig.js';
import { TEST_MAC } from '../../../src/plugin/conformance/test-host.js';

type Action =
  | { readonly do: 'offer'; readonly count: number; readonly bytes: number }
  | { readonly do: 'engine' | 'clean' | 'core' | 'round' | 'send' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('offer' as const),
      count: fc.integer({ min: 1, max: 40 }),
      bytes: fc.constantFrom(60, 200, 1514),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ do: 'engine' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'clean' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'core' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'send' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'round' as const }) },
);

const perform = async (rig: MigrationRig, step: Action): Promise<void> => {
  switch (step.do) {
    case 'offer':
      rig.offer(step.count, step.bytes);
      return;
    case 'engine':
      rig.engine();
      return;
    case 'clean':
      rig.driver.clean();
      return;
    case 'core':
      rig.step();
      return;
    case 'send':
      rig.driver.send(guestFrame(TEST_MAC, 60));
      return;
    case 'round':
      await rig.round();
      return;
  }
};

const habits = fc.record({
  rxSlots: fc.constantFrom(64, 128),
  freshBuffers: fc.boolean(),
  skew: fc.constantFrom(0, 0, 3000),
  tail: fc.constantFrom('past' as const, 'last' as const),
  batch: fc.constantFrom(1, 16),
  descriptorType: fc.constantFrom(1 as const, 5 as const),
});

const migrated = async (rig: MigrationRig, steps: readonly Action[]): Promise<void> => {
  try {
    rig.driver.up();
    rig.offer(20, 1000);
    rig.engine();
    await rig.start();
    for (const step of steps) await perform(rig, step);
    await rig.stopAndCopy();
    expect([...rig.missed]).toEqual([]);
    expect(rig.differingPages()).toEqual([]);
    // the traffic was real
    rig.driver.clean();
    expect(rig.driver.received.length).toBeGreaterThan(0);
    expect(rig.driver.damaged).toBe(0);
  } finally {
    rig.close();
  }
};

describe('the SRVM tracker', () => {
  it('shadow-doorbell: misses nothing, and marks nothing else when buffers stay in their pages', async () => {
    await fc.assert(
      fc.asyncProperty(habits, fc.array(action, { maxLength: 120 }), async (habit, steps) => {
        const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' }, habits: habit });
        await migrated(rig, steps);
        if (habit.skew === 0 && habit.descriptorType === 1) expect([...rig.overMarked]).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('scan: misses nothing, lapped or not', async () => {
    await fc.assert(
      fc.asyncProperty(habits, fc.array(action, { maxLength: 120 }), async (habit, steps) => {
        await migrated(new MigrationRig(srvm, { options: { mode: 'scan' }, habits: habit }), steps);
      }),
      { numRuns: 60 },
    );
  });

  for (const mode of ['scan', 'shadow-doorbell']) {
    it(`${mode}: misses nothing while device and driver go on between any two of its register reads`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer(), fc.array(action, { maxLength: 60 }), async (seed, steps) => {
          const rig = new MigrationRig(srvm, { options: { mode }, habits: { freshBuffers: true } });
          const random = seededRandom(seed);
          let inside = false;
          const meanwhile = (): void => {
            if (inside || random.nextU32() % 4 !== 0) return;
            inside = true;
            const what = random.nextU32() % 3;
            if (what === 0) rig.offer(random.nextU32() % 12, 300);
            else if (what === 1) rig.engine();
            else if (!rig.host.guestIsHeld) rig.driver.clean();
            inside = false;
          };
          try {
            rig.driver.up();
            rig.offer(20, 1000);
            rig.engine();
            await rig.start();
            rig.host.beforeRead = meanwhile;
            for (const step of steps) await perform(rig, step);
            rig.host.beforeRead = null;
            await rig.stopAndCopy();
            expect(rig.differingPages()).toEqual([]);
            expect(rig.driver.damaged).toBe(0);
          } finally {
            rig.close();
          }
        }),
        { numRuns: 40 },
      );
    });
  }
});
