/** The simulated Ethernet: who gets which frames, when, and what each fault does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import type { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import type { CableOptions } from '../../../src/simulation/network/cable-lane.js';
import { Ether } from '../../../src/simulation/network/ether.js';
import { makeScheduler, runDry } from './link-rig.js';

const MAC_A = [0x52, 0x54, 0, 0, 0, 1];
const MAC_B = [0x52, 0x54, 0, 0, 0, 2];
const BROADCAST = [255, 255, 255, 255, 255, 255];

function frame(target: readonly number[], source: readonly number[], number: number, bytes = 60): Uint8Array {
  const made = new Uint8Array(bytes).fill(number);
  made.set([...target, ...source, 0x88, 0xb5], 0);
  made[14] = number >> 8;
  made[15] = number & 255;
  return made;
}

const numberOf = (bytes: Uint8Array): number => (bytes[14]! << 8) | bytes[15]!;

/** Takes what arrives as soon as it is told. */
class Station {
  readonly heard: Uint8Array[] = [];
  readonly wire: Wire;

  constructor(wire: Wire) {
    this.wire = wire;
    wire.onWake = () => {
      wire.receive((bytes, offset, length) => {
        this.heard.push(bytes.slice(offset, offset + length));
        return true;
      }, 1000);
    };
  }

  get numbers(): number[] {
    return this.heard.map(numberOf);
  }
}

interface Rig {
  readonly scheduler: Scheduler;
  readonly ether: Ether;
  readonly a: Station;
  readonly b: Station;
  readonly c: Station;
}

function makeRig(seed: number, options: Partial<CableOptions> = {}): Rig {
  const scheduler = makeScheduler(seed);
  const ether = new Ether(scheduler, new Choices(seed), options);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Station(ether.port(name)));
  return { scheduler, ether, a: a!, b: b!, c: c! };
}

/** Both stations are known to the switch. */
async function introduce({ scheduler, a, b, c }: Rig): Promise<void> {
  a.wire.transmit(frame(BROADCAST, MAC_A, 0), 0, 60);
  b.wire.transmit(frame(BROADCAST, MAC_B, 0), 0, 60);
  await runDry(scheduler);
  for (const station of [a, b, c]) station.heard.length = 0;
}

describe('the simulated Ethernet', () => {
  it('brings each frame whole, in order, to its station only', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.integer({ min: 60, max: 9000 }), { maxLength: 40 }),
        async (seed, sizes) => {
          const rig = makeRig(seed);
          await introduce(rig);
          const sent = sizes.map((bytes, i) => frame(MAC_B, MAC_A, i + 1, bytes));
          let accepted = 0;
          for (const bytes of sent) if (rig.a.wire.transmit(bytes, 0, bytes.length)) accepted++;
          rig.a.wire.flush();
          await runDry(rig.scheduler);
          const dropped = rig.ether.switchStats().ports.reduce((sum, port) => sum + port.wire.txDropped, 0);
          expect(rig.b.heard.length).toBe(accepted - dropped - rig.b.wire.stats.rxDropped);
          if (accepted === sent.length && dropped === 0) {
            expect(Buffer.compare(Buffer.concat(rig.b.heard), Buffer.concat(sent))).toBe(0);
          }
          expect(rig.c.heard).toEqual([]);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('floods what nobody is known for, and follows a station that moves', async () => {
    const rig = makeRig(1);
    rig.a.wire.transmit(frame(MAC_B, MAC_A, 1), 0, 60);
    await runDry(rig.scheduler);
    expect([rig.b.numbers, rig.c.numbers]).toEqual([[1], [1]]);
    await introduce(rig);
    rig.c.wire.transmit(frame(BROADCAST, MAC_B, 2), 0, 60);
    await runDry(rig.scheduler);
    rig.a.wire.transmit(frame(MAC_B, MAC_A, 3), 0, 60);
    await runDry(rig.scheduler);
    expect(rig.b.numbers).toEqual([2]);
    expect(rig.c.numbers).toEqual([3]);
    expect(rig.ether.switchStats().moves).toBe(1);
  });

  it('takes its cables’ time, and drops what would wait too long', async () => {
    const rig = makeRig(2, {
      bitsPerSecond: 1e9,
      delayNs: 10_000,
      jitterNs: 0,
      gatherNs: 0,
      queueBytes: 50_000,
    });
    await introduce(rig);
    const startNs = rig.scheduler.nowNs();
    const jumbo = frame(MAC_B, MAC_A, 5, 9000);
    let accepted = 0;
    for (let i = 0; i < 20; i++) if (rig.a.wire.transmit(jumbo, 0, jumbo.length)) accepted++;
    await runDry(rig.scheduler);
    expect(accepted).toBe(6);
    expect(rig.a.wire.stats.txDropped).toBe(14);
    expect(rig.b.heard.length).toBe(6);
    // six frames out of the first cable, and the last one through the second
    const expectedNs = 2 * 10_000 + 7 * 9024 * 8;
    expect(rig.scheduler.nowNs() - startNs).toBeGreaterThanOrEqual(expectedNs);
    expect(rig.scheduler.nowNs() - startNs).toBeLessThan(expectedNs + 10);
  });

  it('loses, doubles and reorders on the port and in the direction asked for', async () => {
    const rig = makeRig(3);
    await introduce(rig);
    const send = async (from: Station, target: number[], source: number[]): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        from.wire.transmit(frame(target, source, i), 0, 60);
        await runDry(rig.scheduler);
      }
    };
    rig.ether.setFaults('b', 'in', { loss: 0.3 });
    await send(rig.a, MAC_B, MAC_A);
    await send(rig.b, MAC_A, MAC_B);
    expect(rig.a.numbers.length).toBe(200);
    expect(rig.b.numbers.length).toBe(200 - rig.ether.counts().lost);
    expect(rig.ether.counts().lost).toBeGreaterThan(30);
    rig.ether.setFaults('b', 'in', { loss: 0, duplicate: 0.5 });
    rig.b.heard.length = 0;
    await send(rig.a, MAC_B, MAC_A);
    expect(rig.b.numbers.length).toBe(200 + rig.ether.counts().duplicated);
    expect(new Set(rig.b.numbers).size).toBe(200);
    rig.ether.setFaults('b', 'in', { duplicate: 0, reorder: 0.2 });
    rig.b.heard.length = 0;
    for (let i = 0; i < 200; i++) rig.a.wire.transmit(frame(MAC_B, MAC_A, i), 0, 60);
    await runDry(rig.scheduler);
    const numbers = rig.b.numbers;
    expect(rig.ether.counts().reordered).toBeGreaterThan(10);
    expect(numbers).not.toEqual([...numbers.keys()]);
    expect([...numbers].sort((x, y) => x - y)).toEqual([...numbers.keys()]);
  });

  it('that is partitioned one way carries the other', async () => {
    const rig = makeRig(4);
    await introduce(rig);
    rig.ether.partition('a', 'out', true);
    rig.a.wire.transmit(frame(MAC_B, MAC_A, 1), 0, 60);
    rig.b.wire.transmit(frame(MAC_A, MAC_B, 2), 0, 60);
    await runDry(rig.scheduler);
    expect([rig.a.numbers, rig.b.numbers]).toEqual([[2], []]);
    expect(rig.a.wire.linkUp).toBe(true);
    rig.ether.partition('a', 'out', false);
    rig.a.wire.transmit(frame(MAC_B, MAC_A, 3), 0, 60);
    await runDry(rig.scheduler);
    expect(rig.b.numbers).toEqual([3]);
    expect(rig.ether.counts().partitioned).toBe(1);
  });

  it('takes the link down where a host crashed or a wire was closed', async () => {
    const rig = makeRig(5);
    const host = rig.scheduler.host('source');
    const wire = rig.ether.port('host', host);
    await introduce(rig);
    expect(rig.ether.openEnds).toBe(4);
    wire.transmit(frame(MAC_B, [2, 0, 0, 0, 0, 9], 1), 0, 60);
    host.crash();
    await runDry(rig.scheduler);
    expect(wire.linkUp).toBe(false);
    expect(wire.transmit(frame(MAC_B, MAC_A, 1), 0, 60)).toBe(false);
    expect(rig.b.numbers).toEqual([]);
    for (const station of [rig.a, rig.b, rig.c]) await station.wire.close();
    expect(rig.ether.openEnds).toBe(0);
    expect(() => rig.ether.partition('d', 'in', true)).toThrow('the ether has no port d');
  });
});
