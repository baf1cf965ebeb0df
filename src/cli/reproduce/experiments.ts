/**
 * The papers' headline experiments, each on the same guests and loads as `srvm compare`. A ratio is taken between trials
 * of the same run, minutes apart at most, and printed whatever it is.
 */
import { join } from 'node:path';
import { readImage } from '../../control/images.js';
import { imageCacheDir, PACKAGE_ROOT } from '../../control/package-root.js';
import { loadImage } from '../../guest/load-image.js';
import { measureSharedPort, type SharedPortResult } from '../../measure/scale/shared-port.js';
import { type MethodTrials, type Spread, spreadOf } from '../compare/figures.js';
import { findMethods } from '../compare/methods.js';
import { payloadOf, runAll, SATURATE } from '../compare/run-all.js';
import type { Trial } from '../compare/trial.js';
import type { PaperName } from './papers.js';

export interface Finding {
  readonly what: string;
  readonly published: string;
  readonly unit: string;
  /** Null when no run gave the figure. */
  readonly measured: Spread | null;
}

export interface Experiment {
  readonly findings: readonly Finding[];
  readonly failures: readonly string[];
}

const IMAGE = 'guest-images/udp-echo';
const FRAME_BYTES = 1518;
const STEADY_PER_S = 4000;
const RAM_BYTES = 16 * 2 ** 20;

/** Runs one paper's experiment. */
export async function experiment(paper: PaperName, runs: number): Promise<Experiment> {
  switch (paper) {
    case 'srvm':
      return await srvm(runs);
    case 'compsc':
      return await compsc(runs);
    case 'dong':
      return await dong(runs);
    case 'huawei':
      return await huawei(runs);
    case 'sv-nic':
      return await svNic(runs);
  }
}

type Loads = readonly ('steady' | 'saturated')[];

async function trialsOf(methods: readonly string[], runs: number, loads: Loads): Promise<MethodTrials[]> {
  return await runAll(await findMethods(methods.join(','), IMAGE), {
    loads: loads.map((load) => (load === 'saturated' ? SATURATE : { kind: 'rate', perSecond: STEADY_PER_S })),
    runs,
    payloadBytes: payloadOf(FRAME_BYTES),
  });
}

const failuresOf = (methods: readonly MethodTrials[]): string[] => methods.flatMap((each) => each.failures);

/** A figure of two methods' trials of the same run. */
function paired(
  one: readonly Trial[],
  other: readonly Trial[],
  of: (one: Trial, other: Trial) => number | null,
): Spread | null {
  return spreadOf(
    one.map((trial) => {
      const counterpart = other.find(({ run }) => run === trial.run);
      return counterpart === undefined ? null : of(trial, counterpart);
    }),
  );
}

const times = (part: number | null, whole: number | null): number | null =>
  part === null || whole === null || whole === 0 ? null : part / whole;

/** By how many per cent `part` is above (or below) `whole`. */
function above(part: number | null, whole: number | null): number | null {
  const ratio = times(part, whole);
  return ratio === null ? null : (ratio - 1) * 100;
}

function below(part: number | null, whole: number | null): number | null {
  const more = above(part, whole);
  return more === null ? null : -more;
}

async function srvm(runs: number): Promise<Experiment> {
  const methods = await trialsOf(['srvm:shadow-doorbell', 'srvm:scan', 'dnis'], runs, [
    'saturated',
    'steady',
  ]);
  const switching = methods[2]!;
  const findings = methods.slice(0, 2).flatMap(({ method: { name }, saturated, steady }): Finding[] => [
    {
      what: `${name}: throughput in pre-copy / a method that switches to paravirtual`,
      published: '9.6x',
      unit: 'x',
      measured: paired(saturated, switching.saturated, (a, b) =>
        times(a.during.perSecond, b.during.perSecond),
      ),
    },
    {
      what: `${name}: latency in pre-copy, below a method that switches`,
      published: '98 %',
      unit: '%',
      measured: paired(steady, switching.steady, (a, b) => below(a.during.p50Us, b.during.p50Us)),
    },
    {
      what: `${name}: throughput in pre-copy / before it`,
      published: 'no significant overhead',
      unit: 'x',
      measured: spreadOf(saturated.map((a) => times(a.during.perSecond, a.before.perSecond))),
    },
    {
      what: `${name}: downtime, above the method that switches (engine)`,
      published: 'not increased',
      unit: '%',
      measured: paired(steady, switching.steady, (a, b) => above(a.report.downtimeMs, b.report.downtimeMs)),
    },
    {
      what: `${name}: CPU of the extra core while it lives`,
      published: 'one core, in pre-copy only',
      unit: '% of a core',
      measured: spreadOf(
        steady.map(({ report: { tracker } }) =>
          tracker === null ? null : times(tracker.coreCpuNs * 100, tracker.coreAliveNs),
        ),
      ),
    },
  ]);
  return { findings, failures: failuresOf(methods) };
}

async function compsc(runs: number): Promise<Experiment> {
  const methods = await trialsOf(['compsc', 'virtio'], runs, ['saturated', 'steady']);
  const [assisted, paravirtual] = [methods[0]!, methods[1]!];
  const findings: Finding[] = [
    {
      what: 'throughput of the VF, above paravirtual, before migration',
      published: '282.66 %',
      unit: '%',
      measured: paired(assisted.saturated, paravirtual.saturated, (a, b) =>
        above(a.before.perSecond, b.before.perSecond),
      ),
    },
    {
      what: 'the same in pre-copy',
      published: '-',
      unit: '%',
      measured: paired(assisted.saturated, paravirtual.saturated, (a, b) =>
        above(a.during.perSecond, b.during.perSecond),
      ),
    },
    {
      what: 'downtime, below paravirtual, at the peer (longest gap)',
      published: '42.9 %',
      unit: '%',
      measured: paired(assisted.steady, paravirtual.steady, (a, b) => below(a.gapMs, b.gapMs)),
    },
    {
      what: 'the same as the engine saw it',
      published: '-',
      unit: '%',
      measured: paired(assisted.steady, paravirtual.steady, (a, b) =>
        below(a.report.downtimeMs, b.report.downtimeMs),
      ),
    },
  ];
  return { findings, failures: failuresOf(methods) };
}

async function huawei(runs: number): Promise<Experiment> {
  const methods = await trialsOf(['vf-suspend', 'virtio'], runs, ['steady']);
  const [suspending, paravirtual] = [methods[0]!.steady, methods[1]!.steady];
  const findings: Finding[] = [
    {
      what: "the driver's suspend",
      published: 'about 5 ms',
      unit: 'ms',
      measured: spreadOf(suspending.map(({ report }) => report.tracker?.counters['suspendMs'] ?? null)),
    },
    {
      what: "the driver's resume",
      published: 'about 20 ms',
      unit: 'ms',
      measured: spreadOf(suspending.map(({ arrival }) => arrival?.tracker?.counters['resumeMs'] ?? null)),
    },
    {
      what: "network downtime at the peer / virtio-net's",
      published: 'a bit larger',
      unit: 'x',
      measured: paired(suspending, paravirtual, (a, b) => times(a.gapMs, b.gapMs)),
    },
  ];
  return { findings, failures: failuresOf(methods) };
}

async function svNic(runs: number): Promise<Experiment> {
  const methods = await trialsOf(['sv-nic', 'virtio'], runs, ['steady']);
  const [device, paravirtual] = [methods[0]!.steady, methods[1]!.steady];
  const findings: Finding[] = [
    {
      what: 'latency of one guest, below driver-domain virtualised (median)',
      published: 'about 50 %',
      unit: '%',
      measured: paired(device, paravirtual, (a, b) => below(a.before.p50Us, b.before.p50Us)),
    },
    {
      what: 'the virtual interface: round trip, median',
      published: '-',
      unit: 'us',
      measured: spreadOf(device.map(({ before }) => before.p50Us)),
    },
    {
      what: 'the driver domain: round trip, median',
      published: '-',
      unit: 'us',
      measured: spreadOf(paravirtual.map(({ before }) => before.p50Us)),
    },
  ];
  return { findings, failures: failuresOf(methods) };
}

const GUESTS = [1, 10, 20, 40, 60];
const MOST_GUESTS = 60;
/** Carried with CPU to spare: 0.6 Gb/s. */
const QUIET_FPS = 50_000;
const WINDOW_MS = 1000;

async function dong(runs: number): Promise<Experiment> {
  const { component } = readImage(join(PACKAGE_ROOT, 'guest-images/packet-sink'));
  const image = await loadImage(component, { ramBytes: RAM_BYTES, cacheDir: imageCacheDir() });
  const common = { image, rounds: runs, windowMs: WINDOW_MS };
  const line = await measureSharedPort({ ...common, guests: [1, MOST_GUESTS] });
  const quiet = await measureSharedPort({ ...common, guests: GUESTS, framesPerS: QUIET_FPS });
  const of = ({ samples }: SharedPortResult, guests: number) =>
    samples.filter((each) => each.guests === guests);
  const payload = payloadOf(FRAME_BYTES) / FRAME_BYTES;
  const findings: Finding[] = [
    {
      what: 'payload that one guest receives',
      published: '-',
      unit: 'Gb/s',
      measured: spreadOf(of(line, 1).map(({ gbps }) => gbps * payload)),
    },
    {
      what: `payload that ${MOST_GUESTS} guests on one port receive`,
      published: '9.48 Gb/s',
      unit: 'Gb/s',
      measured: spreadOf(of(line, MOST_GUESTS).map(({ gbps }) => gbps * payload)),
    },
    {
      what: `${MOST_GUESTS} guests / one alone`,
      published: 'no loss up to 60 VMs',
      unit: 'x',
      measured: spreadOf(of(line, MOST_GUESTS).map(({ gbps }, run) => times(gbps, of(line, 1)[run]!.gbps))),
    },
    {
      what: `fairness among ${MOST_GUESTS} guests (Jain's index)`,
      published: '-',
      unit: '',
      measured: spreadOf(of(line, MOST_GUESTS).map(({ fairness }) => fairness)),
    },
    {
      what: 'CPU for each guest added, at the same total load',
      published: '+1.76 % (paravirtual VM), +2.8 % (hardware VM)',
      unit: '% of a core',
      measured: spreadOf(slopes(quiet, runs)),
    },
    {
      what: 'resident memory for each guest of 16 MiB added',
      published: '-',
      unit: 'MB',
      measured: spreadOf([line.megabytesPerGuest]),
    },
  ];
  return { findings, failures: [] };
}

/** Per cent of a core for each guest added: a line through every round's points, by least squares. */
function slopes({ samples }: SharedPortResult, rounds: number): number[] {
  return Array.from({ length: rounds }, (_, round) => {
    const points = samples.slice(round * GUESTS.length, (round + 1) * GUESTS.length);
    const mean = (of: (index: number) => number) =>
      points.reduce((sum, _point, index) => sum + of(index), 0) / points.length;
    const guests = mean((i) => points[i]!.guests);
    const cores = mean((i) => points[i]!.cores);
    const together = mean((i) => (points[i]!.guests - guests) * (points[i]!.cores - cores));
    return (together / mean((i) => (points[i]!.guests - guests) ** 2)) * 100;
  });
}
