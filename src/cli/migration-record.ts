/**
 * A migration under workers, as a trace that Perfetto opens: what was measured, on one time axis, with what the run was
 * given. It can be looked at, not replayed: the interleaving of threads belongs to the machine. The nearest that can be
 * replayed, a simulation of the same plugin and image, is named in it.
 */
import type { VmmMigrationReport } from '../control/vmm-migration.js';
import type { TimeSeriesReport } from '../measure/load/time-series.js';
import { replayCommand } from '../simulation/campaign/replay.js';
import type { SimEvent } from '../simulation/clockwork/event-log.js';
import { writeTrace } from '../simulation/trace/trace.js';
import { COUNT, FAULT, PHASE } from '../simulation/trace/words.js';

export interface RecordInputs {
  /** The command as it was given, and what it set: loads with their seeds, parameters, sizes. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly plugin: string;
  readonly mode?: string;
  /** Series at the peer, by name. */
  readonly series?: Readonly<Record<string, TimeSeriesReport>>;
}

const ROUNDS = 'source/rounds';
const PHASES = 'source/main';
const PEER = 'peer/load';
/** Any seed is as near as another. */
const NEAREST_SEED = 1;

/** The simulation that has most in common with a run. */
export const nearestSimulation = (plugin: string, mode: string | undefined, image: string): string =>
  replayCommand(NEAREST_SEED, { plugin, ...(mode === undefined ? {} : { mode }), image, faults: 'none' });

export function migrationRecord(report: VmmMigrationReport, record: RecordInputs): string {
  const { rounds, phases, cores, startedAtNs, ...facts } = report;
  const series = Object.entries(record.series ?? {});
  // what was measured at the peer began before the migration
  const originMs = Math.max(0, ...series.map(([, { startNs }]) => (startedAtNs - startNs) / 1e6));
  const events = [
    ...migrationEvents(report),
    ...coreEvents(report),
    ...series.flatMap(([name, one]) => seriesEvents(name, one, startedAtNs)),
  ].map((event) => ({ ...event, timeNs: event.timeNs + originMs * 1e6 }));
  events.sort((a, b) => a.timeNs - b.timeNs);
  return writeTrace(events, {
    recorded: 'under worker threads: measured, not replayable',
    inputs: record.inputs,
    report: facts,
    nearestSimulation: nearestSimulation(record.plugin, record.mode, report.image),
  });
}

const at = (ms: number, actor: string, what: string, ...numbers: number[]): SimEvent => {
  const [a = 0, b = 0, c = 0, d = 0] = numbers;
  return { timeNs: ms * 1e6, actor, what, numbers: [a, b, c, d] };
};

function migrationEvents(report: VmmMigrationReport): SimEvent[] {
  const { rounds, phases, stoppedAtMs, runningAtMs, notes, tracker, totalMs, error } = report;
  const events = phases.map(({ phase, atMs }) => at(atMs, PHASES, `${PHASE}${phase}`));
  // the last phase is entered when the clock has stopped
  events.push(at(Math.max(totalMs, phases.at(-1)?.atMs ?? 0), PHASES, `${PHASE}end`));
  for (const round of rounds) {
    const endMs = round.startedAtMs + round.durationMs;
    events.push(
      at(round.startedAtMs, ROUNDS, `${PHASE}round ${round.round}`),
      at(endMs, ROUNDS, `${PHASE}end`),
    );
    events.push(
      at(round.startedAtMs, ROUNDS, `${COUNT}pages dirtied by CPU`, round.dirtiedByCpu),
      at(round.startedAtMs, ROUNDS, `${COUNT}pages dirtied by DMA`, round.dirtiedByDma),
      at(endMs, ROUNDS, `${COUNT}pages sent`, round.dataPages + round.zeroPages),
      ...round.notes.map((note) => at(endMs, ROUNDS, note)),
    );
  }
  if (stoppedAtMs !== null) events.push(at(stoppedAtMs, 'source/vcpu', 'the guest is stopped'));
  if (runningAtMs !== null) events.push(at(runningAtMs, 'destination/vcpu', 'the guest runs'));
  for (const note of [...notes, ...(tracker?.notes ?? [])]) events.push(at(totalMs, PHASES, note));
  if (error !== null) events.push(at(totalMs, PHASES, `${FAULT}${error}`));
  return events;
}

const coreEvents = ({ cores }: VmmMigrationReport): SimEvent[] =>
  cores.flatMap(({ atMs, percent }) =>
    Object.entries(percent).map(([core, share]) =>
      at(atMs, `source/${core}`, `${COUNT}${core} % of a core`, share),
    ),
  );

function seriesEvents(name: string, series: TimeSeriesReport, originNs: number): SimEvent[] {
  const { startNs, bucketMs, counts, sums } = series;
  return counts.flatMap((count, i) => {
    const ms = (startNs - originNs) / 1e6 + i * bucketMs;
    return [
      at(ms, PEER, `${COUNT}${name} per second`, (count * 1e3) / bucketMs),
      ...(count === 0 ? [] : [at(ms, PEER, `${COUNT}${name} mean us`, sums[i]! / count)]),
    ];
  });
}
