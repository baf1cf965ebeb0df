import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCable } from '../../../src/hardware/wire/cable.js';
import { LearningSwitch } from '../../../src/hardware/wire/learning-switch.js';
import { MacTable } from '../../../src/hardware/wire/mac-table.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { drain, frameOf, send } from './frames-of.js';
import { manualClock } from './manual-clock.js';

function build(ports: number, options: { maxStations?: number; ageMs?: number; moveQuietMs?: number } = {}) {
  const clock = manualClock();
  const fabric = new LearningSwitch({ clock, ...options });
  const stations: Wire[] = [];
  for (let i = 0; i < ports; i++) {
    const [inside, outside] = createCable();
    fabric.addPort(`p${i}`, inside);
    stations.push(outside);
  }
  const pass = (from: number, to: number, source: number): number[] => {
    send(stations[from]!, frameOf(to, source));
    fabric.step();
    return stations.map((wire) => drain(wire).length);
  };
  return { clock, fabric, stations, pass };
}

describe('learning switch', () => {
  it('floods what it does not know, then forwards to the one port', () => {
    const { fabric, pass } = build(3);
    expect(pass(0, 2, 1)).toEqual([0, 1, 1]);
    expect(pass(1, 1, 2)).toEqual([1, 0, 0]);
    expect(pass(0, 2, 1)).toEqual([0, 1, 0]);
    expect(fabric.stats().ports[0]).toMatchObject({ forwarded: 1, flooded: 1, stations: 1 });
  });

  it('floods broadcast and multicast, and never learns a multicast source', () => {
    const { fabric, stations, pass } = build(3);
    pass(0, 9, 1);
    for (const first of [0xff, 0x01]) {
      const frame = frameOf(1, 2);
      frame[0] = first;
      send(stations[1]!, frame);
      fabric.step();
      expect(stations.map((wire) => drain(wire).length)).toEqual([1, 0, 1]);
    }
    const odd = frameOf(9, 3);
    odd[6] = 0x53;
    send(stations[2]!, odd);
    fabric.step();
    expect(fabric.stats().stations).toBe(2);
  });

  it('filters what stays behind its own port', () => {
    const { fabric, pass } = build(2);
    pass(0, 9, 1);
    pass(0, 9, 2);
    expect(pass(0, 1, 2)).toEqual([0, 0]);
    expect(fabric.stats().ports[0]!.filtered).toBe(1);
  });

  it('follows a station that moved, at its first frame', () => {
    const { fabric, pass } = build(3);
    pass(0, 9, 1);
    pass(2, 9, 7);
    expect(pass(2, 1, 7)).toEqual([1, 0, 0]);
    pass(1, 9, 1);
    expect(pass(2, 1, 7)).toEqual([0, 1, 0]);
    expect(fabric.stats().moves).toBe(1);
  });

  describe.each([
    [0, 1],
    [1, 0],
  ])('between sockets, a station that moves from port %i to port %i', (from, to) => {
    const STATION = 1;
    const PEER = 7;
    const QUIET_MS = 2;

    function movingStation() {
      const bench = build(3, { moveQuietMs: QUIET_MS });
      const { clock, fabric, stations } = bench;
      const say = (port: number, frames: number): void => {
        for (let i = 0; i < frames; i++) send(stations[port]!, frameOf(PEER, STATION));
      };
      const heard = (): number => {
        fabric.step();
        return drain(stations[2]!).length;
      };
      send(stations[2]!, frameOf(9, PEER));
      say(from, 1);
      expect(heard()).toBe(1);
      return { clock, fabric, say, heard };
    }

    it('is heard at its old port first, however its frames were found', () => {
      const { clock, fabric, say, heard } = movingStation();
      clock.advanceMs(60);
      say(to, 3);
      say(from, 2);
      expect(heard()).toBe(2);
      // the rest of what it sent from there comes out of its socket
      clock.advanceMs(QUIET_MS / 2);
      say(from, 1);
      expect(heard()).toBe(1);
      expect(fabric.nextDueNs()).toBe(clock.nowNs() + QUIET_MS * 1e6);
      clock.advanceMs(QUIET_MS);
      expect([heard(), fabric.nextDueNs()]).toEqual([3, Number.POSITIVE_INFINITY]);
      expect(fabric.stats().moves).toBe(1);
    });

    it('is followed at once when it was quiet before, and not held up by a late frame', () => {
      const { clock, fabric, say, heard } = movingStation();
      clock.advanceMs(QUIET_MS);
      say(to, 1);
      expect(heard()).toBe(1);
      say(from, 1);
      expect(heard()).toBe(1);
      say(to, 1);
      expect(heard()).toBe(1);
      expect(fabric.stats().moves).toBe(3);
    });

    it('is not held for ever where another talks with its address', () => {
      const { clock, say, heard } = movingStation();
      say(to, 1);
      let frames = 0;
      for (let ms = 0; ms < 200; ms++) {
        say(from, 1);
        frames += heard();
        clock.advanceMs(1);
      }
      expect(frames).toBe(201);
    });
  });

  it('forgets the silent after a time, and a port whose link went down', async () => {
    const { clock, fabric, stations, pass } = build(3, { ageMs: 5000 });
    pass(0, 9, 1);
    pass(1, 9, 2);
    clock.advanceMs(3000);
    pass(1, 9, 2);
    clock.advanceMs(3000);
    expect(pass(2, 1, 3)).toEqual([0, 0, 0].map((_, i) => (i === 2 ? 0 : 1)));
    expect(fabric.stats()).toMatchObject({ aged: 1, stations: 2 });
    await stations[1]!.close();
    fabric.step();
    expect(fabric.stats().ports[1]).toMatchObject({ stations: 0, linkUp: false });
  });

  it('keeps its table bounded: later stations are flooded to', () => {
    const { fabric, pass } = build(2, { maxStations: 2 });
    for (let station = 1; station <= 10; station++) pass(0, 99, station);
    expect(fabric.stats()).toMatchObject({ stations: 2, tableFull: 8 });
    expect(pass(1, 5, 50)).toEqual([1, 0]);
  });

  it('drops runts, and loses only at the full port', () => {
    const { fabric, stations } = build(2);
    send(stations[0]!, new Uint8Array(10));
    fabric.step();
    expect(fabric.stats().ports[0]!.malformed).toBe(1);
    for (let i = 0; i < 2000; i++) {
      send(stations[0]!, frameOf(2, 1, 1500));
      fabric.step();
    }
    const port = fabric.stats().ports[1]!.wire;
    expect(port.txDropped).toBeGreaterThan(0);
    expect(port.txDropped + port.txFrames).toBe(2000);
  });

  it('wakes its holder when any port does', () => {
    const { fabric, stations } = build(2);
    let woken = 0;
    fabric.onWake = () => woken++;
    send(stations[1]!, frameOf(1, 2));
    expect(woken).toBe(1);
  });
});

describe('MAC table', () => {
  it('says what a map with timestamps would say', () => {
    const station = fc.integer({ min: 0, max: 40 });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('learn' as const), station, port: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constant('age' as const), ms: fc.integer({ min: 0, max: 120 }) }),
      fc.record({ kind: fc.constant('forget' as const), port: fc.integer({ min: 0, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const table = new MacTable(30, 100);
        const model = new Map<number, { port: number; seenMs: number }>();
        let nowMs = 0;
        for (const one of steps) {
          if (one.kind === 'learn') {
            table.learn(one.station & 3, one.station * 0x10001000, one.port, nowMs);
            if (model.has(one.station) || model.size < 30) {
              model.set(one.station, { port: one.port, seenMs: nowMs });
            }
          } else if (one.kind === 'age') {
            nowMs += one.ms;
            table.forgetOlderThan(nowMs);
            for (const [key, value] of model) if (nowMs - value.seenMs >= 100) model.delete(key);
          } else {
            table.forgetPort(one.port);
            for (const [key, value] of model) if (value.port === one.port) model.delete(key);
          }
          expect(table.size).toBe(model.size);
        }
        for (let key = 0; key <= 40; key++) {
          expect(table.lookup(key & 3, key * 0x10001000)).toBe(model.get(key)?.port ?? -1);
        }
      }),
      { numRuns: 100 },
    );
  });
});
