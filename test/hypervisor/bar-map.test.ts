/** The BAR map against a guest that accesses the page all the time, in its own thread. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { BarAccess } from '../../src/hypervisor/bar-access.js';
import { BAR_WORD, BarMap, createBarMapBuffer, type PageMapping } from '../../src/hypervisor/bar-map.js';
import type { GuestVfBar } from '../../src/hypervisor/guest-vf-bar.js';
import { EXIT_REASON } from '../../src/hypervisor/vm-exits.js';
import { CTRL } from '../../src/machine/layout.js';
import { ANSWER, CONTROL_PAGE_BYTES, type GuestData, REQUEST, WORD } from './bar-map-guest.js';
import { until } from './lab.js';

function startGuest(task: GuestData['task'], rounds = 0) {
  const data: GuestData = {
    barMap: createBarMapBuffer(),
    words: new SharedArrayBuffer(16),
    control: new SharedArrayBuffer(CONTROL_PAGE_BYTES),
    task,
    rounds,
  };
  const worker = new Worker(new URL('./bar-map-guest.js', import.meta.url), { workerData: data });
  return {
    worker,
    map: new BarMap(data.barMap),
    words: new Int32Array(data.words),
    control: new Int32Array(data.control),
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a mapping that changes under a running guest', () => {
  it('never leaves an access under way on the old mapping', async () => {
    const { worker, map, words, control } = startGuest('hammer');
    await until("the guest's first access", () => Atomics.load(words, WORD.accesses) > 0);
    const mappings: PageMapping[] = ['shadow', 'direct', 'shadow', 'trapped', 'shadow', 'direct'];
    let insideWhileHeld = 0;
    let reachedDevice = 0;
    for (let i = 0; i < 600; i++) {
      const mapping = mappings[i % mappings.length]!;
      map.map(1, mapping, () => {
        insideWhileHeld += Atomics.load(words, WORD.inside);
      });
      expect(map.mappingOf(1)).toBe(mapping);
      if (mapping === 'shadow') {
        const before = Atomics.load(words, WORD.accesses);
        if (i % 20 === 0) await pause(1);
        reachedDevice += Atomics.load(words, WORD.accesses) - before;
      } else if (i % 20 === 1) {
        await pause(1);
      }
    }
    // on a machine with much else to do the guest may have had no turn while the page was trapped
    map.map(1, 'trapped');
    const trappedWrites = () => Atomics.load(control, CTRL.exits + EXIT_REASON.trappedWrite);
    await until('a trapped write', () => trappedWrites() > 0);
    Atomics.store(words, WORD.stop, 1);
    await once(worker, 'message');
    await worker.terminate();
    expect(insideWhileHeld).toBe(0);
    expect(reachedDevice).toBe(0);
  });

  it('lets a guest that reads a shadow page it wrote see a whole turn after its write', async () => {
    const rounds = 300;
    const { worker, map, control } = startGuest('echo', rounds);
    const shadow = map.shadow(1);
    const request = (REQUEST & 0xfff) >> 2;
    const answer = (ANSWER & 0xfff) >> 2;
    map.turnStarted();
    map.turnEnded();
    map.map(1, 'shadow');
    let wrong: number | null = null;
    worker.once('message', (count: number) => {
      wrong = count;
    });
    while (wrong === null) {
      map.turnStarted();
      const asked = Atomics.load(shadow, request);
      // the guest may write and read between these two lines: what it then reads must be the next turn's
      await pause(0);
      Atomics.store(shadow, answer, asked * 3);
      map.turnEnded();
    }
    await worker.terminate();
    expect(wrong).toBe(0);
    expect(Atomics.load(control, CTRL.exits + EXIT_REASON.turnWait)).toBeGreaterThan(0);
  });

  it('lets a waiting guest go when the page is mapped to the device again', async () => {
    const { worker, map } = startGuest('echo', 1);
    map.turnStarted();
    map.map(1, 'shadow');
    map.turnStarted();
    // no turn ends: the server has died
    await pause(100);
    map.map(1, 'direct');
    const [wrong] = await once(worker, 'message');
    await worker.terminate();
    // the stub device answers 0
    expect(wrong).toBe(1);
  });
});

describe('a mapping', () => {
  const deviceValue = 0x1234;
  const device = { read32: () => deviceValue, write32() {} } as unknown as GuestVfBar;

  function guest() {
    const buffer = createBarMapBuffer();
    const control = new Int32Array(CONTROL_PAGE_BYTES >> 2);
    return { map: new BarMap(buffer), access: new BarAccess(buffer, device, control), control };
  }

  it('concerns its page only', () => {
    const { map, access } = guest();
    map.map(1, 'shadow', () => {
      map.shadow(1)[2] = 77;
    });
    expect(access.read32(0x1008)).toBe(77);
    expect(access.read32(0x0008)).toBe(deviceValue);
    expect(access.read32(0x2008)).toBe(deviceValue);
    access.write32(0x1008, 0xffff_fffe);
    expect(map.shadow(1)[2]).toBe(-2);
    expect(access.read32(0x1008)).toBe(0xffff_fffe);
  });

  it('counts the exits of a trapped page by kind', () => {
    const { map, access, control } = guest();
    map.map(2, 'trapped');
    access.read32(0x2000);
    access.read32(0x2000);
    access.write32(0x2018, 5);
    access.read32(0x1000);
    expect(control[CTRL.exits + EXIT_REASON.trappedRead]).toBe(2);
    expect(control[CTRL.exits + EXIT_REASON.trappedWrite]).toBe(1);
  });

  it('stays as it was when the change fails half-way', () => {
    const { map, access } = guest();
    const fail = (): void => {
      throw new Error('no');
    };
    expect(() => map.map(1, 'shadow', fail)).toThrow('no');
    expect(map.mappingOf(1)).toBe('direct');
    expect(access.read32(0x1000)).toBe(deviceValue);
  });

  it('does not exist beyond BAR0', () => {
    const { map, access } = guest();
    expect(() => map.map(4, 'shadow')).toThrow(RangeError);
    expect(access.read32(0x4000)).toBe(0xffff_ffff);
    access.write32(0x4000, 1);
  });

  it.each([2, 3])(
    'of a shadow page keeps no reader waiting for a turn that has just ended (look %i)',
    (last) => {
      const { map, control } = guest();
      const waits: number[] = [];
      const access = new BarAccess(map.buffer, device, control, (words, index, seen) => {
        waits.push(Atomics.load(words, index) - seen);
        map.turnEnded();
      });
      map.map(1, 'shadow');
      map.turnStarted();
      access.write32(0x1008, 5);
      map.turnStarted();
      // the turn ends while the reader finds out that it has to wait: right after one of its looks
      const load = Atomics.load;
      let looks = 0;
      const spy = vi.spyOn(Atomics, 'load').mockImplementation(((words: Int32Array, index: number) => {
        const value = load(words, index);
        if (index === BAR_WORD.turnSeen && ++looks === last) map.turnEnded();
        return value;
      }) as typeof Atomics.load);
      try {
        expect(access.read32(0x1008)).toBe(5);
      } finally {
        spy.mockRestore();
      }
      // where it waits, it waits for what it had seen before: not for another turn
      expect(waits.every((ended) => ended !== 0)).toBe(true);
    },
  );

  it('is taken from a holder that died', () => {
    const { map } = guest();
    Atomics.store(map.words, 1, 3);
    map.map(1, 'trapped');
    expect(map.mappingOf(1)).toBe('trapped');
  });
});
