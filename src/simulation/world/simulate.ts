/**
 * One whole run from one seed: what it means (plan.ts), the world it happens in (world.ts), what happens (script.ts), what
 * goes wrong (fault-injector.ts), and what must hold (promises/).
 *
 *   seed -> plan -> world -> virtual time until the script has ended, a promise is broken, or a limit -> result
 */
import { fileURLToPath } from 'node:url';
import { type LoadedPlugin, loadPlugin } from '../../plugin/loader.js';
import { Choices } from '../clockwork/choices.js';
import { EventLog } from '../clockwork/event-log.js';
import { type RunEnd, Scheduler } from '../clockwork/scheduler.js';
import { Ether } from '../network/ether.js';
import { CAST, type Cast } from './cast.js';
import { FaultInjector } from './fault-injector.js';
import { figuresOf } from './figures.js';
import { MemoryPool } from './memory-pool.js';
import { drawPlan } from './plan.js';
import { makePromises } from './promises/index.js';
import type { SimulationOptions, SimulationResult } from './result.js';
import { runScript } from './script.js';
import { World } from './world.js';

export { FAULT_KINDS, type FaultKind, type FaultKinds, type PlannedFault } from './fault-plan.js';
export type { Problem, SimulationOptions, SimulationResult } from './result.js';

/** Of one run. A guest under full traffic makes some ten thousand events in a millisecond of ten. */
const LIMITS = { maxEvents: 3_000_000, maxVirtualMs: 20_000 };
const DEFAULT_PLUGIN = fileURLToPath(new URL('../../../../plugins/srvm', import.meta.url));

const memories = new MemoryPool();

/** Runs one seed. Never rejects for what happens in the run; for a plugin or an image that cannot be loaded it does. */
export function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return simulateWith(CAST, options);
}

/** The same with other guests or other traffic than the seed's. */
export async function simulateWith(cast: Cast, options: SimulationOptions): Promise<SimulationResult> {
  const plugin = await pluginOf(options);
  const choices = new Choices(options.seed);
  const log = new EventLog({ keep: options.keepLog ?? 'none' });
  const plan = drawPlan(options.seed, choices.fork('plan'), {
    image: options.image,
    mode: options.mode,
    modes: plugin.definition.options?.['mode']?.values ?? [],
    faults: options.faults,
    faultPlan: options.faultPlan,
  });
  const scheduler = new Scheduler({ choices, log, limits: LIMITS });
  const ether = new Ether(scheduler, choices.fork('ether'));
  const guest = await cast.guest(plan);
  const traffic = cast.traffic(plan, { scheduler, choices: choices.fork('traffic'), ether });
  const world = new World({
    plan,
    choices,
    scheduler,
    log,
    ether,
    guest,
    traffic,
    plugin,
    memories,
    promises: makePromises(),
  });
  const faults = new FaultInjector(world, plan.faults);
  let isFinished = false;
  let error: unknown = null;
  runScript(world).then(
    () => {
      isFinished = true;
    },
    (thrown) => {
      error = thrown;
      isFinished = true;
    },
  );
  const end = await runToEnd(scheduler, () => isFinished || world.problems.length > 0, world);
  if (error !== null) world.broken('the simulator itself', describe(error));
  faults.end();
  world.giveBackMemories();
  const isStuck = end.kind !== 'done';
  return {
    seed: options.seed,
    outcome: world.problems.length === 0 ? 'passed' : isStuck ? 'stuck' : 'failed',
    problems: world.problems,
    logHash: log.hash,
    events: log.count,
    virtualMs: scheduler.nowNs() / 1e6,
    plan: plan.faults,
    reached: world.coverage.toRecord(),
    notes: world.notes,
    ...(options.keepLog === 'all' || options.keepLog === 'tail' ? { log } : {}),
    figures: figuresOf(world),
  };
}

async function runToEnd(scheduler: Scheduler, done: () => boolean, world: World): Promise<RunEnd> {
  try {
    const end = await scheduler.run(done);
    if (end.kind === 'idle')
      world.broken('nobody is stuck', 'nothing is left that could happen, and the run has not ended');
    if (end.kind === 'limit') {
      const limit = end.which === 'maxEvents' ? `${LIMITS.maxEvents} events` : `${LIMITS.maxVirtualMs} ms`;
      world.broken('nobody is stuck', `the run did not end within ${limit}: ${standing(world)}`);
    }
    return end;
  } catch (error) {
    world.broken('nothing throws', describe(error));
    return { kind: 'done' };
  }
}

/** Where everybody stands, for a run that does not end. */
function standing(world: World): string {
  const { hop } = world;
  if (hop === null) return 'no migration had begun';
  const source = hop.sourceEnd === null ? `the source is in ${hop.phase.phase}` : 'the source has ended';
  const destination = hop.destinationEnd === null ? 'the destination waits' : 'the destination has ended';
  return `migration ${hop.number}: ${source}, ${destination}`;
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

async function pluginOf({ plugin }: SimulationOptions): Promise<LoadedPlugin> {
  if (typeof plugin === 'object') return plugin;
  return await loadPlugin(plugin ?? DEFAULT_PLUGIN);
}
