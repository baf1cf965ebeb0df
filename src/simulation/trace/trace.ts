/**
 * An event log as Chrome trace-event JSON, which Perfetto's UI opens: a process per host, a thread per core, main thread
 * and device, slices for the time that cores were busy and for phases, instants for the rest.
 *
 *   actor `source/engine` -> process `source`, thread `engine`          actor `link` -> process `world`, thread `link`
 */
import type { SimEvent } from '../clockwork/event-log.js';
import { Instants, type TraceArguments } from './instants.js';
import { TraceTracks } from './tracks.js';
import {
  BROKEN,
  CHUNK,
  COUNT,
  CRASH,
  FAULT,
  HARVEST,
  MARK,
  NO_NAMES,
  NUMBER_NAMES,
  PHASE,
  STEP,
} from './words.js';

/** One event of the format; times in microseconds, to the nanosecond. */
interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'i' | 'C';
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  /** Of an instant: thread or global. */
  readonly s?: 't' | 'g';
  readonly args?: TraceArguments;
}

interface OpenPhase {
  readonly name: string;
  readonly startNs: number;
  readonly args: TraceArguments;
}

/**
 * @param events of a log that keeps all
 * @param about what was run, for whoever looks at it later: kept beside the events
 */
export function writeTrace(
  events: readonly SimEvent[],
  about: Readonly<Record<string, unknown>> = {},
): string {
  const writer = new TraceWriter();
  for (const event of events) writer.add(event);
  return writer.end(events.at(-1)?.timeNs ?? 0, about);
}

class TraceWriter {
  readonly #tracks = new TraceTracks();
  readonly #instants = new Instants();
  readonly #made: TraceEvent[] = [];
  /** By actor. */
  readonly #phases = new Map<string, OpenPhase>();
  /** Pages marked since the last harvest, by host. */
  readonly #marked = new Map<string, number>();

  add(event: SimEvent): void {
    const { actor, what, timeNs, numbers } = event;
    if (what.startsWith(PHASE)) this.#beginPhase(actor, what.slice(PHASE.length), timeNs, numbers[0]);
    else if (what.startsWith(COUNT)) this.#count(actor, what.slice(COUNT.length), timeNs, numbers[0]);
    else if (what === STEP) this.#step(event);
    else {
      if (what === CRASH) this.#endPhase(actor, timeNs);
      this.#instant(event);
      this.#countMore(event);
    }
  }

  end(endNs: number, about: Readonly<Record<string, unknown>>): string {
    for (const actor of [...this.#phases.keys()]) this.#endPhase(actor, endNs);
    // a slice begins before it is logged; where two begin together the longer one holds the other
    this.#made.sort((one, other) => one.ts - other.ts || (other.dur ?? 0) - (one.dur ?? 0));
    const lines = [...this.#tracks.metadata(), ...this.#made].map((event) => JSON.stringify(event));
    const otherData = JSON.stringify(about);
    return `{"displayTimeUnit":"ns","otherData":${otherData},"traceEvents":[\n${lines.join(',\n')}\n]}\n`;
  }

  #make(actor: string, event: Omit<TraceEvent, 'pid' | 'tid'>): void {
    this.#made.push({ ...event, ...this.#tracks.of(actor) });
  }

  #slice(actor: string, name: string, startNs: number, endNs: number, args: TraceArguments): void {
    const said = Object.keys(args).length === 0 ? {} : { args };
    this.#make(actor, { name, ph: 'X', ts: us(startNs), dur: durationUs(startNs, endNs), ...said });
  }

  #instant(event: SimEvent): void {
    const { actor, what, timeNs } = event;
    const args = this.#instants.add(actor, timeNs, what, argumentsOf(event));
    if (args === null) return;
    const s = what.startsWith(FAULT) || what.startsWith(BROKEN) ? 'g' : 't';
    this.#make(actor, { name: what, ph: 'i', ts: us(timeNs), s, args });
  }

  #step({ actor, timeNs, numbers: [costNs, elapsedNs, lostNs] }: SimEvent): void {
    const args: TraceArguments = lostNs === 0 ? {} : { 'preempted us': us(lostNs) };
    this.#slice(actor, STEP, timeNs - elapsedNs, timeNs + costNs, args);
  }

  #count(actor: string, name: string, timeNs: number, value: number): void {
    this.#make(actor, { name, ph: 'C', ts: us(timeNs), args: { value } });
  }

  /** Counters that follow from other events. */
  #countMore({ actor, what, timeNs, numbers }: SimEvent): void {
    if (what === CHUNK) this.#count(actor, 'pending DMA bytes', timeNs, numbers[2]);
    if (what !== MARK && what !== HARVEST) return;
    const host = this.#tracks.processOf(actor);
    const marked = what === MARK ? (this.#marked.get(host) ?? 0) + 1 : 0;
    this.#marked.set(host, marked);
    this.#count(`${host}/tracker`, 'dirty pages', timeNs, marked);
  }

  #beginPhase(actor: string, name: string, startNs: number, round: number): void {
    this.#endPhase(actor, startNs);
    if (name !== 'end') this.#phases.set(actor, { name, startNs, args: round === 0 ? {} : { round } });
  }

  #endPhase(actor: string, endNs: number): void {
    const phase = this.#phases.get(actor);
    if (phase === undefined) return;
    this.#phases.delete(actor);
    const { name, startNs, args } = phase;
    this.#slice(`${this.#tracks.processOf(actor)}/phases`, name, startNs, endNs, args);
  }
}

function argumentsOf({ what, numbers }: SimEvent): Record<string, number> {
  const names = NUMBER_NAMES[what];
  const named: Record<string, number> = {};
  numbers.forEach((number, i) => {
    if (names === undefined ? number !== 0 : i < names.length) named[(names ?? NO_NAMES)[i]!] = number;
  });
  return named;
}

/** Whole nanoseconds: what a run under workers measured has parts of one, and a viewer would cut those off. */
function us(ns: number): number {
  return Math.round(ns) / 1000;
}

/**
 * From what both ends are rounded to: of two slices one after the other, none may reach into the other. Nor may it for a
 * viewer that adds microseconds as they are: 416.682 + 0.295 is more than 416.977.
 */
function durationUs(startNs: number, endNs: number): number {
  const dur = us(Math.round(endNs) - Math.round(startNs));
  const endUs = us(endNs);
  return us(startNs) + dur > endUs ? dur - endUs * Number.EPSILON : dur;
}
