import { describe, expect, it } from 'vitest';
import { plainerThan, shrink } from '../../../src/simulation/campaign/shrink.js';
import type { PlannedFault } from '../../../src/simulation/world/fault-plan.js';

const stall = (atNs: number): PlannedFault => ({ atNs, kind: 'net', what: 'link-stall', forNs: 123_456 });
const cut = (atNs: number): PlannedFault => ({ atNs, kind: 'net', what: 'link-cut' });
const cancel = (atNs: number): PlannedFault => ({ atNs, kind: 'cancel', what: 'cancel', by: 'source' });
const holds = (plan: readonly PlannedFault[], what: string) => plan.find((fault) => fault.what === what);

describe('shrinking a fault schedule', () => {
  it('leaves the faults that are needed together', async () => {
    const plan = [stall(1), stall(2), cut(3), stall(4), stall(5), stall(6), cancel(7), stall(8)];
    const { plan: left, isMinimal } = await shrink({
      plan,
      fails: async (tried) => holds(tried, 'link-cut') !== undefined && holds(tried, 'cancel') !== undefined,
      maxRuns: 1000,
    });
    expect(left.map(({ what }) => what)).toEqual(['link-cut', 'cancel']);
    expect(isMinimal).toBe(true);
  });

  it('makes each number as plain as the failure allows', async () => {
    const { plan } = await shrink({
      plan: [{ atNs: 9_876_543, kind: 'net', what: 'link-stall', forNs: 7_654_321 }],
      fails: async ([fault]) => fault !== undefined && 'forNs' in fault && fault.forNs > 1_000_000,
      maxRuns: 1000,
    });
    expect(plan).toEqual([{ atNs: 0, kind: 'net', what: 'link-stall', forNs: 2_000_000 }]);
  });

  it('leaves out what another fault, made plainer, no longer needs', async () => {
    const fails = async (plan: readonly PlannedFault[]): Promise<boolean> => {
      const needed = holds(plan, 'link-cut');
      return needed !== undefined && 'atNs' in needed && (needed.atNs === 0 || plan.length > 1);
    };
    const { plan, isMinimal } = await shrink({ plan: [stall(7), cut(3)], fails, maxRuns: 1000 });
    expect(plan).toEqual([cut(0)]);
    expect(isMinimal).toBe(true);
  });

  it('prefers one fault to two others that do it together', async () => {
    const fails = async (plan: readonly PlannedFault[]): Promise<boolean> =>
      holds(plan, 'cancel') !== undefined || plan.filter(({ what }) => what === 'link-cut').length > 1;
    const { plan } = await shrink({ plan: [cancel(0), stall(0), cut(0), cut(0)], fails, maxRuns: 1000 });
    expect(plan).toEqual([cancel(0)]);
  });

  it('finds that no fault is needed at all', async () => {
    const { plan } = await shrink({ plan: [stall(1), cut(2)], fails: async () => true, maxRuns: 10 });
    expect(plan).toEqual([]);
  });

  it('stops at its limit and says so', async () => {
    const plan = Array.from({ length: 16 }, (_, i) => stall(i));
    const found = await shrink({ plan, fails: async (tried) => tried.length === 16, maxRuns: 5 });
    expect(found).toMatchObject({ runs: 5, isMinimal: false });
  });

  it('only ever tries what is plainer, so that it ends', () => {
    for (const value of [1, 2, 7, 10, 99, 137_294_812, 0.37, 0.5, 3e9]) {
      let now = value;
      for (let steps = 0; now !== 0; steps++) {
        expect(steps).toBeLessThan(200);
        now = plainerThan(now).at(-1)!;
      }
    }
  });
});
