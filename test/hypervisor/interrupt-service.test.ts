/** How a guest's interrupts are served, with and without the accelerations, and who sets their interval. */
import { afterEach, describe, expect, it } from 'vitest';
import { itrPolicy } from '../../src/cli/interrupt-options.js';
import { intervalFor, LATENCY_CAP_US, MAX_INTERVAL_US } from '../../src/hypervisor/coalescing.js';
import { type InterruptOptions, VirtualMachine } from '../../src/hypervisor/vm.js';
import { cabledNic, echoImage, echoUntil, networkUp, until } from './lab.js';

const VTEITR = 0x820;
const INTERVAL = 0xff8;

describe('a guest with a VF', () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function echoed(interrupts: InterruptOptions) {
    const cabled = await cabledNic();
    open.push(() => cabled.close());
    const vm = await VirtualMachine.create({
      name: 'echo',
      image: await echoImage(),
      commandLine: 'ip=10.0.0.2',
      vfs: [{ nic: cabled.nic, assignment: { mac: '52:54:00:00:00:01' } }],
      interrupts,
    });
    open.push(() => vm.destroy());
    const up = networkUp(vm);
    vm.start();
    await up;
    const report = await echoUntil(cabled.wire, '10.0.0.2', 50);
    expect(report).toMatchObject({ corrupt: 0, duplicates: 0 });
    return { vm, exits: vm.info().exits, interval: () => vm.vfs[0]!.view.bar0.read32(VTEITR) & INTERVAL };
  }

  it('is served in its own thread', async () => {
    const { exits } = await echoed({});
    expect(exits.endOfInterrupt).toBeGreaterThan(0);
    expect(exits.servedElsewhere).toBe(0);
  });

  it('answers all the same when the main thread serves it', async () => {
    const { exits } = await echoed({ accelMask: false, accelEoi: false });
    const { msixRead, msixWrite, endOfInterrupt } = exits;
    expect(msixWrite).toBeGreaterThan(0);
    expect(endOfInterrupt).toBeGreaterThan(0);
    // one may be under way while they are read
    expect(Math.abs(exits.servedElsewhere - (msixRead + msixWrite + endOfInterrupt))).toBeLessThanOrEqual(1);
  });

  it('has the interval that the hypervisor sets, whatever its driver writes', async () => {
    const { vm, interval } = await echoed({ itr: { kind: 'fixed', us: 100 } });
    await until('the interval is set', () => interval() === 400);
    vm.vfs[0]!.view.bar0.write32(VTEITR, 40);
    expect(interval()).toBe(400);
  });
});

describe('the interval', () => {
  const ring = { packetsPerSecond: 1_000_000, freeBuffers: 120 };
  it.each([
    ['off: none', { kind: 'off' }, ring, 0],
    ['fixed', { kind: 'fixed', us: 50 }, ring, 50],
    ['adaptive: the buffers last that long, with a reserve', { kind: 'adaptive' }, ring, 100],
    [
      'adaptive: no longer than a packet may wait',
      { kind: 'adaptive' },
      { ...ring, packetsPerSecond: 1000 },
      LATENCY_CAP_US,
    ],
    ['adaptive: nothing comes', { kind: 'adaptive' }, { ...ring, packetsPerSecond: 0 }, LATENCY_CAP_US],
    [
      'adaptive: longer where guests share a core',
      { kind: 'adaptive' },
      { packetsPerSecond: 1000, freeBuffers: 120, guestsPerCore: 2 },
      2 * LATENCY_CAP_US,
    ],
    [
      'adaptive: no longer than the register holds',
      { kind: 'adaptive' },
      { packetsPerSecond: 1000, freeBuffers: 500, guestsPerCore: 30 },
      MAX_INTERVAL_US,
    ],
    [
      'adaptive: as short where cores are left',
      { kind: 'adaptive' },
      { packetsPerSecond: 1000, freeBuffers: 500, guestsPerCore: 0.25 },
      LATENCY_CAP_US,
    ],
    ['adaptive: no buffers left', { kind: 'adaptive' }, { ...ring, freeBuffers: 0 }, 0],
  ] as const)('%s', (_title, policy, facts, us) => {
    expect(intervalFor(policy, facts)).toBe(us);
  });

  it('is read from the command line', () => {
    expect(itrPolicy('fixed=50')).toEqual({ kind: 'fixed', us: 50 });
    expect(itrPolicy('adaptive')).toEqual({ kind: 'adaptive' });
    expect(() => itrPolicy('fixed=5000')).toThrow(/not a whole number from 0 to 1022/);
    expect(() => itrPolicy('fast')).toThrow(/fixed=N, adaptive or off/);
  });
});
