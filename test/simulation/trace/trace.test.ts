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
});
