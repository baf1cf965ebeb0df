/** A run of invented cores and events that does everything the scheduler can, at random, from one seed. */
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import type { HostTime } from '../../../src/simulation/clockwork/host-time.js';
import { type RunEnd, Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import type { StepEnd, VirtualCore } from '../../../src/simulation/clockwork/virtual-core.js';

/** A core that takes work from a box. Whoever puts work in wakes it. */
export interface Worker {
  readonly core: VirtualCore;
  box: number;
  done: number;
  reentered: boolean;
}

export interface RandomRun {
  readonly scheduler: Scheduler;
  readonly log: EventLog;
  readonly hosts: readonly HostTime[];
  readonly workers: Worker[];
  readonly problems: string[];
  given: number;
  end: RunEnd | null;
}

export interface RandomRunOptions {
  readonly crash?: boolean;
  readonly physicalCores?: number;
}

const PREEMPT = { chance: 0.2, minNs: 100, maxNs: 200_000 };
const GIFTS = 60;

export async function randomRun(seed: number, options: RandomRunOptions = {}): Promise<RandomRun> {
  const choices = new Choices(seed);
  const log = new EventLog({ keep: 'all' });
  const limits = { maxEvents: 50_000, maxVirtualMs: 10_000 };
  const scheduler = new Scheduler({ choices, log, limits });
  const hosts = ['source', 'destination'].map((name) => scheduler.host(name, options));
  const run: RandomRun = { scheduler, log, hosts, workers: [], problems: [], given: 0, end: null };
  for (const host of hosts) {
    for (const name of ['engine', 'vcpu', 'tracker']) addWorker(run, host, name, choices.fork(name));
  }
  const draws = choices.fork('gifts');
  for (let i = 0; i < GIFTS; i++) {
    const worker = draws.pick(run.workers);
    scheduler.at(draws.int(5_000_000), 'gift', () => give(run, worker, draws), draws.pick([null, ...hosts]));
    scheduler.atHardware(draws.int(5_000_000), 'poke', () => give(run, worker, draws));
  }
  if (options.crash) scheduler.at(draws.int(5_000_000), 'fault crash', () => hosts[0]!.crash());
  run.end = await scheduler.run(() => false);
  return run;
}

function give(run: RandomRun, worker: Worker, draws: Choices): void {
  run.given++;
  worker.box++;
  worker.core.wake();
  if (draws.chance(0.1)) worker.core.stall(draws.int(300_000));
}

function addWorker(run: RandomRun, host: HostTime, name: string, draws: Choices): void {
  const { scheduler, workers } = run;
  const kind = name as 'engine' | 'vcpu' | 'tracker';
  const step = (): StepEnd => {
    worker.reentered ||= stepping;
    stepping = true;
    if (worker.box > 0) {
      worker.box--;
      worker.done++;
    }
    scheduler.point();
    if (draws.chance(0.1)) give(run, draws.pick(workers), draws);
    if (draws.chance(0.1)) waitForNobody(run, draws);
    stepping = false;
    return { costNs: draws.int(3_000), againNs: worker.box > 0 ? draws.int(500) : null };
  };
  const core = scheduler.core({ name, host, kind, speed: draws.pick([0.5, 1, 3]), preempt: PREEMPT, step });
  const worker: Worker = { core, box: 0, done: 0, reentered: false };
  let stepping = false;
  workers.push(worker);
}

/** A wait that ends by its limit, or when somebody else did something. */
function waitForNobody(run: RandomRun, draws: Choices): void {
  const { scheduler, problems } = run;
  const startNs = scheduler.nowNs();
  const limitNs = draws.between(1, 50_000);
  const stepsBefore = totalSteps(run);
  const wanted = draws.between(1, 20);
  const done = (): boolean => totalSteps(run) - stepsBefore >= wanted;
  const result = scheduler.pumpUntil(null, done, limitNs);
  if (result !== done()) problems.push('pumpUntil says something else than done()');
  if (!result && scheduler.nowNs() < startNs + limitNs) problems.push('pumpUntil came back too early');
}

function totalSteps({ workers }: RandomRun): number {
  return workers.reduce((sum, { core }) => sum + core.steps, 0);
}
