/**
 * An event log as Chrome trace-event JSON, which Perfetto's UI opens: a process per host, a thread per core, main thread
 * and device, slices for the time that cores were busy and for phases, instants for the rest.
 *
 *   actor `source/engine` -> process `source`, thread `engine`          actor `link` -> process `world`, thread `link`
 */
import type { SimEvent } from '../clockwork/event-log.js';
import { TraceTracks } from './tracks.js';
import { COUNT, FAULT, NO_NAMES, NUMBER_NAMES, PHASE, STEP } from './words.js';

/** One event of the format; times in microseconds. */
interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'i' | 'C';
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  /** Of an instant: thread or global. */
  readonly s?: 't' | 'g';
  readonly args?: Readonly<Record<string, number>>;
}

interface OpenPhase {
  readonly name: string;
  readonly startNs: number;
}

/** @param events of a log that keeps all */
export function writeTrace(events: readonly SimEvent[]): string {
  const tracks = new TraceTracks();
  const phases = new Map<string, OpenPhase>();
  const made: TraceEvent[] = [];
  for (const event of events) {
    if (event.what.startsWith(PHASE)) beginPhase(tracks, phases, event, made);
    else made.push(traceEventOf(tracks, event));
  }
  const endNs = events.at(-1)?.timeNs ?? 0;
  for (const actor of phases.keys()) endPhase(tracks, phases, actor, endNs, made);
  // a slice begins before it is logged; where two begin together the longer one holds the other
  made.sort((one, other) => one.ts - other.ts || (other.dur ?? 0) - (one.dur ?? 0));
  const lines = [...tracks.metadata(), ...made].map((event) => JSON.stringify(event));
  return `{"displayTimeUnit":"ns","traceEvents":[\n${lines.join(',\n')}\n]}\n`;
}

function traceEventOf(tracks: TraceTracks, event: SimEvent): TraceEvent {
  const { actor, what, timeNs, numbers } = event;
  const track = tracks.of(actor);
  if (what === STEP) {
    const [costNs, elapsedNs] = numbers;
    return { name: what, ph: 'X', ts: us(timeNs - elapsedNs), dur: us(costNs + elapsedNs), ...track };
  }
  if (what.startsWith(COUNT)) {
    const name = what.slice(COUNT.length);
    return { name, ph: 'C', ts: us(timeNs), ...track, args: { value: numbers[0] } };
  }
  const scope = what.startsWith(FAULT) ? 'g' : 't';
  return { name: what, ph: 'i', ts: us(timeNs), ...track, s: scope, args: argumentsOf(event) };
}

function argumentsOf({ what, numbers }: SimEvent): Record<string, number> {
  const names = NUMBER_NAMES[what];
  const named: Record<string, number> = {};
  numbers.forEach((number, i) => {
    if (names === undefined ? number !== 0 : i < names.length) named[(names ?? NO_NAMES)[i]!] = number;
  });
  return named;
}

function beginPhase(
  tracks: TraceTracks,
  phases: Map<string, OpenPhase>,
  { actor, what, timeNs }: SimEvent,
  made: TraceEvent[],
): void {
  endPhase(tracks, phases, actor, timeNs, made);
  const name = what.slice(PHASE.length);
  if (name !== 'end') phases.set(actor, { name, startNs: timeNs });
}

function endPhase(
  tracks: TraceTracks,
  phases: Map<string, OpenPhase>,
  actor: string,
  endNs: number,
  made: TraceEvent[],
): void {
  const phase = phases.get(actor);
  if (phase === undefined) return;
  phases.delete(actor);
  const track = tracks.of(`${tracks.processOf(actor)}/phases`);
  made.push({ name: phase.name, ph: 'X', ts: us(phase.startNs), dur: us(endNs - phase.startNs), ...track });
}

function us(ns: number): number {
  return ns / 1000;
}
