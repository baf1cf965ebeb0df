/**
 * What `srvm simulate` does: one run, many over all cores, or the shortest fault schedule that still fails.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolveShipped } from '../control/package-root.js';
import { loadPlugin, resolveOptions } from '../plugin/loader.js';
import { runCampaign } from '../simulation/campaign/campaign.js';
import {
  type RunChoices,
  readFaultPlan,
  replayCommand,
  writeFaultPlan,
} from '../simulation/campaign/replay.js';
import { SeedWorker } from '../simulation/campaign/seed-worker.js';
import { shrink } from '../simulation/campaign/shrink.js';
import type { SeedlessOptions } from '../simulation/campaign/simulator.js';
import { isSimulatedImage, loadSimulatedImage } from '../simulation/guests/simulated-images.js';
import { writeTrace } from '../simulation/trace/trace.js';
import { requireImage } from '../simulation/world/cast.js';
import { SCRIPTED } from '../simulation/world/plan.js';
import { type PlannedFault, simulate } from '../simulation/world/simulate.js';
import { OptionError, parseWhole } from './options.js';
import { printJson, printTable } from './output.js';
import { SeedBar } from './seed-bar.js';
import { runFigures } from './simulate-figures.js';
import { parseFaults, type SimulateOptions, type SimulateOrder, seedsFrom } from './simulate-options.js';
import {
  campaignRows,
  coverageRows,
  failuresText,
  faultText,
  problemText,
  seedRows,
} from './simulate-text.js';

const SHRINK_RUNS = 400;

/** @returns whether every promise was kept. */
export async function carryOut(order: SimulateOrder, options: SimulateOptions): Promise<boolean> {
  // what cannot be loaded is told once, not for each seed
  resolveOptions((await loadPlugin(pluginOf(options.plugin))).definition, modeOf(options));
  if (order.kind !== 'figures') await loadGuest(options.image);
  switch (order.kind) {
    case 'one':
      return await runOne(order.seed, options);
    case 'shrink':
      return await runShrink(order.seed, options);
    case 'many':
      return await runMany(order, options);
    case 'figures': {
      const plugin = pluginOf(options.plugin);
      await runFigures({ plugin, ...modeOf(options), cores: order.cores, json: options.json });
      return true;
    }
  }
}

/** Built once here, found in the cache by every worker. */
async function loadGuest(image: string): Promise<void> {
  requireImage(image);
  if (isSimulatedImage(image)) await loadSimulatedImage(image);
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

function simulationOf(options: SimulateOptions): SeedlessOptions {
  const { image, faultPlan } = options;
  return {
    plugin: pluginOf(options.plugin),
    faults: parseFaults(options.faults),
    ...modeOf(options),
    image,
    ...(faultPlan === undefined ? {} : { faultPlan: readFaultPlan(faultPlan) }),
  };
}

const modeOf = ({ mode }: SimulateOptions): Record<string, string> => (mode === undefined ? {} : { mode });

const pluginOf = (plugin: string): string => (plugin.includes('/') ? resolveShipped(plugin) : plugin);

/** What a command that replays a run must say; defaults need no words. */
function choicesOf({ plugin, mode, image, faults }: SimulateOptions): RunChoices {
  return {
    ...(plugin === 'plugins/srvm' ? {} : { plugin }),
    ...(mode === undefined ? {} : { mode }),
    ...(image === SCRIPTED ? {} : { image }),
    ...(faults === 'all' ? {} : { faults }),
  };
}

async function runOne(seed: number, options: SimulateOptions): Promise<boolean> {
  const startMs = performance.now();
  const { log, ...result } = await simulate({
    ...simulationOf(options),
    seed,
    keepLog: options.trace === undefined ? 'none' : 'all',
  });
  const report = { ...result, wallMs: performance.now() - startMs };
  if (options.trace !== undefined) {
    const { plan, problems, logHash } = report;
    const rest = options.faultPlan === undefined ? [] : ['--fault-plan', options.faultPlan];
    const replay = replayCommand(seed, choicesOf(options), ...rest);
    writeFileSync(options.trace, writeTrace(log!.all(), { simulated: replay, logHash, plan, problems }));
    say(`every event, for Perfetto: ${options.trace}`);
  }
  if (options.json) printJson(report);
  else printTable(['', ''], seedRows(report));
  return report.outcome === 'passed';
}

async function runMany(order: SimulateOrder & { kind: 'many' }, options: SimulateOptions): Promise<boolean> {
  const { first, last, timeLimitMs } = order;
  const workers =
    options.workers === undefined
      ? availableParallelism()
      : parseWhole(options.workers, '--workers', 1, 1024);
  say(campaignHead(order, options, workers));
  const choices = choicesOf(options);
  const bar = new SeedBar({ seeds: last === null ? null : last - first + 1, timeLimitMs });
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const report = await runCampaign({
      seeds: seedsFrom(first, last),
      simulation: simulationOf(options),
      workers,
      ...(timeLimitMs === null ? {} : { timeLimitMs }),
      signal: stop.signal,
      onSeed: (seed) => bar.took(seed),
    });
    bar.stop();
    const failures = report.failures.map((failure) => ({
      ...failure,
      replay: replayCommand(failure.seed, choices),
    }));
    if (options.json) {
      printJson({ ...report, failures });
    } else {
      printTable(['', ''], campaignRows(report));
      process.stdout.write('\n');
      printTable(['coverage', 'reached (in so many seeds)', 'NEVER reached'], coverageRows(report.coverage));
      const { undeclared } = report.coverage;
      if (undeclared.length > 0) process.stdout.write(`counted, not declared: ${undeclared.join(', ')}\n`);
      process.stdout.write(failuresText(failures, report.notPassed));
    }
    return report.passed === report.seeds;
  } finally {
    bar.stop();
    process.removeListener('SIGINT', onInterrupt);
  }
}

function campaignHead(
  { first, last, timeLimitMs }: SimulateOrder & { kind: 'many' },
  options: SimulateOptions,
  workers: number,
): string {
  const seeds = last === null ? `seeds from ${first} on` : `seeds ${first}..${last}`;
  const limit = timeLimitMs === null ? '' : `, for ${timeLimitMs / 60_000} min`;
  const asked = last === null && options.minutes === undefined ? ' (--seeds or --minutes to choose)' : '';
  return `${options.plugin}, faults ${options.faults}: ${seeds}${limit}${asked}, ${workers} at a time`;
}

async function runShrink(seed: number, options: SimulateOptions): Promise<boolean> {
  const worker = new SeedWorker({ simulation: simulationOf(options) });
  try {
    const first = (await worker.run({ seed }))!;
    const broken = first.problems[0]?.promise;
    if (first.outcome === 'passed') {
      say(`seed ${seed} passes: there is nothing to shrink`);
      return true;
    }
    if (first.outcome === 'lost') throw new OptionError(`seed ${seed}: ${first.problems[0]!.sentence}`);
    say(
      `seed ${seed} ${first.outcome} under ${first.plan.length} faults: ${first.problems.map(problemText).join('; ')}`,
    );
    const found = await shrink({
      plan: first.plan,
      maxRuns: SHRINK_RUNS,
      fails: async (faultPlan) => {
        const { outcome, problems } = (await worker.run({ seed, faultPlan }))!;
        return outcome === first.outcome && problems[0]?.promise === broken;
      },
      onStep: (plan, runs) =>
        say(`run ${runs}: still fails with ${plan.map(faultText).join('; ') || 'no fault at all'}`),
    });
    const replay = commandFor(seed, found.plan, choicesOf(options));
    if (options.json) {
      printJson({ seed, outcome: first.outcome, problems: first.problems, ...found, replay });
    } else {
      const state = found.isMinimal ? 'none can be left out' : `stopped after ${SHRINK_RUNS} runs`;
      process.stdout.write(
        `${found.plan.length} of ${first.plan.length} faults are left after ${found.runs} runs; ${state}\n`,
      );
      for (const fault of found.plan) process.stdout.write(`  ${faultText(fault)}\n`);
      process.stdout.write(`${replay}\n`);
    }
    return false;
  } finally {
    await worker.end();
  }
}

/** Keeps the schedule in a file; none is needed where no fault is left. */
function commandFor(seed: number, plan: readonly PlannedFault[], choices: RunChoices): string {
  if (plan.length === 0) return replayCommand(seed, { ...choices, faults: 'none' });
  const file = `srvm-seed-${seed}.faults.json`;
  writeFaultPlan(file, seed, plan);
  return replayCommand(seed, choices, '--fault-plan', file);
}
