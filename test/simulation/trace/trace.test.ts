import { describe, expect, it } from 'vitest';
import { SharedDirtyMarks } from '../../../src/plugin/dirty-marks.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import { LoggedMarks } from '../../../src/simulation/trace/logged-marks.js';
import { writeTrace } from '../../../src/simulation/trace/trace.js';

interface Parsed {
  name: string;
  ph: string;
  ts: number;
  dur?: number;
  pid: number;
  tid: number;
  s?: string;
  args?: Record<string, unknown>;
}

function parse(log: EventLog): Parsed[] {
  return (JSON.parse(writeTrace(log.all())) as { traceEvents: Parsed[] }).traceEvents;
}

async function busyRun(): Promise<EventLog> {
  const log = new EventLog({ keep: 'all' });
  const scheduler = new Scheduler({
    choices: new Choices(7),
    log,
    limits: { maxEvents: 500, maxVirtualMs: 1e6 },
  });
  for (const name of ['source', 'destination']) {
    const host = scheduler.host(name);
    for (const core of ['engine', 'vcpu'] as const) {
      const spec = { name: core, host, kind: core, speed: 1 };
      const step = (): { costNs: number; againNs: number } => {
        scheduler.point();
        host.nowNs();
        return { costNs: 700, againNs: 100 };
      };
      scheduler.core({ ...spec, step }).wake();
    }
  }
  await scheduler.run(() => false);
  return log;
}

describe('trace', () => {
  it('names every process and thread it uses, and orders events by time', async () => {
    const events = parse(await busyRun());
    const named = new Set(events.filter((e) => e.name === 'thread_name').map((e) => `${e.pid} ${e.tid}`));
    const processes = new Set(events.filter((e) => e.name === 'process_name').map((e) => e.pid));
    const shown = events.filter((e) => e.ph !== 'M');
    expect(shown.length).toBeGreaterThan(400);
    for (const event of shown) {
      expect(named).toContain(`${event.pid} ${event.tid}`);
      expect(processes).toContain(event.pid);
    }
    const times = shown.map((e) => e.ts);
    expect(times).toEqual([...times].sort((one, other) => one - other));
  });

  it('never lets slices of one thread overlap, as Perfetto requires', async () => {
    const lastEnd = new Map<number, number>();
    for (const event of parse(await busyRun())) {
      if (event.ph !== 'X') continue;
      expect(event.ts).toBeGreaterThanOrEqual((lastEnd.get(event.tid) ?? 0) - 1e-6);
      lastEnd.set(event.tid, event.ts + event.dur!);
    }
    expect(lastEnd.size).toBe(4);
  });

  it('shows phases as slices, faults over everything, counters and named numbers', () => {
    const log = new EventLog({ keep: 'all' });
    log.add(1000, 'source/main', 'phase pre-copy');
    log.add(2000, 'source/main', 'count dirty pages', 17);
    log.add(2500, 'source/dma', 'chunk', 5, 64, 3);
    log.add(3000, 'link', 'fault link cut');
    log.add(5000, 'source/main', 'phase stop-and-copy');
    log.add(9000, 'source/main', 'phase end');
    const events = parse(log).filter((event) => event.ph !== 'M');
    expect(events).toMatchObject([
      { name: 'pre-copy', ph: 'X', ts: 1, dur: 4 },
      { name: 'dirty pages', ph: 'C', ts: 2, args: { value: 17 } },
      { name: 'chunk', ph: 'i', s: 't', ts: 2.5, args: { page: 5, bytes: 64, 'pending bytes': 3 } },
      { name: 'pending DMA bytes', ph: 'C', ts: 2.5, args: { value: 3 } },
      { name: 'fault link cut', ph: 'i', s: 'g', ts: 3 },
      { name: 'stop-and-copy', ph: 'X', ts: 5, dur: 4 },
    ]);
  });

  it('counts pages that are marked and not harvested', () => {
    const log = new EventLog({ keep: 'all' });
    const buffer = new SharedArrayBuffer(8);
    const nowNs = (): number => log.count * 1000;
    const marks = new LoggedMarks(new SharedDirtyMarks(buffer, 8), buffer, { log, nowNs }, 'source/tracker');
    marks.mark(3);
    marks.mark(3);
    marks.markRange(4096 * 3 + 5, 8192);
    log.add(nowNs(), 'source/main', 'harvest', 3);
    const counts = parse(log).filter(({ ph }) => ph === 'C');
    expect(counts.map(({ args }) => args!['value'])).toEqual([1, 2, 3, 0]);
    expect([...new Uint8Array(buffer)]).toEqual([0, 0, 0, 1, 1, 1, 0, 0]);
  });

  it('says the round of a pre-copy, and ends the phase of a host that crashes', () => {
    const log = new EventLog({ keep: 'all' });
    log.add(1000, 'source/main', 'phase pre-copy', 1);
    log.add(3000, 'source/main', 'phase pre-copy', 2);
    log.add(4000, 'source/main', 'crash');
    log.add(9000, 'world', 'broken one VM runs at most');
    const events = parse(log).filter((event) => event.ph !== 'M');
    expect(events).toMatchObject([
      { name: 'pre-copy', ph: 'X', ts: 1, dur: 2, args: { round: 1 } },
      { name: 'pre-copy', ph: 'X', ts: 3, dur: 1, args: { round: 2 } },
      { name: 'crash', ph: 'i', s: 't', ts: 4 },
      { name: 'broken one VM runs at most', ph: 'i', s: 'g', ts: 9 },
    ]);
  });

  it('gathers what has one name at one moment, which a viewer would draw below one another', () => {
    const log = new EventLog({ keep: 'all' });
    log.add(1000, 'source/hardware', 'chunk', 5, 64, 192);
    log.add(1000, 'source/hardware', 'dma');
    log.add(1000, 'destination/hardware', 'chunk', 9, 60, 0);
    log.add(1000, 'source/hardware', 'chunk', 7, 128, 64);
    log.add(1000, 'source/hardware', 'chunk', 8, 64, 0);
    log.add(2000, 'source/hardware', 'chunk', 5, 64, 0);
    const chunks = parse(log).filter(({ name }) => name === 'chunk');
    expect(chunks.map(({ args }) => args)).toEqual([
      { page: '5, 7, 8', bytes: '64, 128, 64', 'pending bytes': '192, 64, 0', times: 3 },
      { page: 9, bytes: 60, 'pending bytes': 0 },
      { page: 5, bytes: 64, 'pending bytes': 0 },
    ]);
  });

  it('rounds what was measured to whole nanoseconds, and slices that follow one another still do not overlap', () => {
    const log = new EventLog({ keep: 'all' });
    const startsNs = [1000.4, 2000.6, 3000.5, 4000.2];
    for (const [i, ns] of startsNs.entries()) log.add(ns, 'source/main', `phase ${i}`);
    const slices = parse(log).filter(({ ph }) => ph === 'X');
    expect(slices.map(({ ts, dur }) => [ts, dur])).toEqual([
      [1, 1.001],
      [2.001, 1],
      [3.001, 0.999],
      [4, 0],
    ]);
  });
});
