/**
 * What a viewer asks of a trace, on the trace of a run that fails: Perfetto drops or misplaces slices of one thread that
 * overlap without one being inside the other, counts time in whole nanoseconds, and knows a thread by its number.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly s?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

interface Trace {
  readonly displayTimeUnit: string;
  readonly otherData: Readonly<Record<string, unknown>>;
  readonly traceEvents: readonly TraceEvent[];
}

const MAX_TRACE_BYTES = 64 << 20;

async function failingTrace(): Promise<Trace> {
  const file = fileURLToPath(new URL('./failing-run.js', import.meta.url));
  const run = promisify(execFile)(process.execPath, [file, 'no pass after quiesce'], {
    maxBuffer: MAX_TRACE_BYTES,
  });
  return JSON.parse((await run).stdout) as Trace;
}

const ns = (us: number): number => Math.round(us * 1000);

describe('the trace of a failing run', () => {
  let trace: Trace;
  let shown: readonly TraceEvent[];
  /** `a tracker` by thread number. */
  let threads: Map<number, string>;

  beforeAll(async () => {
    trace = await failingTrace();
    const named = (kind: string) => trace.traceEvents.filter(({ name }) => name === kind);
    const hosts = new Map(named('process_name').map(({ pid, args }) => [pid, args!['name']]));
    threads = new Map(
      named('thread_name').map(({ pid, tid, args }) => [tid, `${hosts.get(pid)} ${args!['name']}`]),
    );
    shown = trace.traceEvents.filter(({ ph }) => ph !== 'M');
  });

  const on = (thread: RegExp) => shown.filter(({ tid }) => thread.test(threads.get(tid)!));

  it('is of a run that failed, and marks over its whole height where', () => {
    expect(trace.otherData['outcome']).toBe('failed');
    const broken = shown.filter(({ name }) => name.startsWith('broken '));
    expect(broken).toMatchObject([{ ph: 'i', s: 'g' }]);
  });

  it('names a thread for each core of both hosts, for the phases and for the hardware', () => {
    for (const host of ['a', 'b']) {
      for (const thread of ['main', 'engine', 'vcpu guest', 'phases'])
        expect([...threads.values()]).toContain(`${host} ${thread}`);
    }
    expect([...threads.values()]).toEqual(expect.arrayContaining(['a hardware', 'a tracker']));
    expect(new Set(threads.values()).size).toBe(threads.size);
    for (const { tid } of shown) expect(threads.has(tid)).toBe(true);
  });

  it('has only events that viewers know, each with what its kind needs', () => {
    expect(new Set(shown.map(({ ph }) => ph))).toEqual(new Set(['X', 'i', 'C']));
    for (const { ph, dur, s, args } of shown) {
      if (ph === 'X') expect(dur).toBeGreaterThanOrEqual(0);
      if (ph === 'i') expect(s).toMatch(/^[tg]$/);
      if (ph === 'C') expect(Object.values(args!).every(Number.isFinite)).toBe(true);
    }
  });

  it('counts in microseconds of one clock, to the nanosecond, from the beginning on', () => {
    expect(trace.displayTimeUnit).toBe('ns');
    for (const { ts, dur = 0 } of shown) {
      expect(ts).toBeGreaterThanOrEqual(0);
      expect(ts).toBe(ns(ts) / 1000);
      expect(dur).toBeCloseTo(ns(dur) / 1000, 9);
    }
    const times = shown.map(({ ts }) => ts);
    expect(times).toEqual([...times].sort((one, other) => one - other));
  });

  it('has slices of one thread that follow or hold one another, and never only overlap', () => {
    const open = new Map<number, number[]>();
    for (const { ph, ts, dur, tid } of shown) {
      if (ph !== 'X') continue;
      const [start, end] = [ns(ts), ns(ts) + ns(dur!)];
      const ends = open.get(tid) ?? [];
      while (ends.length > 0 && ends.at(-1)! <= start) ends.pop();
      if (ends.length > 0) expect(end).toBeLessThanOrEqual(ends.at(-1)!);
      open.set(tid, [...ends, end]);
    }
  });

  it('has slices that end before the next begins for a viewer too that adds microseconds as they are', () => {
    const ends = new Map<number, number>();
    for (const { ph, ts, dur, tid } of shown) {
      if (ph !== 'X') continue;
      expect(ts).toBeGreaterThanOrEqual(ends.get(tid) ?? 0);
      ends.set(tid, ts + dur!);
    }
  });

  it('has no two instants of one name at one moment of one thread', () => {
    const instants = shown.filter(({ ph }) => ph === 'i').map(({ name, ts, tid }) => `${tid} ${ts} ${name}`);
    expect(new Set(instants).size).toBe(instants.length);
  });

  it('shows cores, phases, DMA and marks on the same axis', () => {
    const slices = (events: readonly TraceEvent[]) => events.filter(({ ph }) => ph === 'X');
    const phases = slices(on(/^a phases$/));
    expect(phases.map(({ name }) => name).slice(0, 3)).toEqual(['pre-migration', 'reservation', 'pre-copy']);
    const preCopy = phases.find(({ name }) => name === 'pre-copy')!;
    expect(preCopy.args).toEqual({ round: 1 });
    const within = ({ ts }: TraceEvent, { ts: from, dur }: TraceEvent) => ts >= from && ts <= from + dur!;
    for (const core of [/^a engine$/, /^a vcpu guest$/, /^a tracker$/])
      expect(slices(on(core)).some((step) => within(step, preCopy))).toBe(true);
    const chunks = on(/^a hardware$/).filter(({ name }) => name === 'chunk');
    expect(chunks.length).toBeGreaterThan(0);
    for (const { args } of chunks) expect(Object.keys(args!)).toContain('page');
    const turns = slices(on(/^a tracker$/));
    const marks = on(/^a tracker$/).filter(({ name }) => name === 'mark');
    expect(marks.length).toBeGreaterThan(0);
    for (const mark of marks) expect(turns.some((turn) => within(mark, turn))).toBe(true);
  });
});
