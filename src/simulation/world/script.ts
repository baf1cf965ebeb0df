/**
 * What happens in a run, in order:
 *
 *   cards open -> guest boots -> traffic -> [ migrate -> who has the guest now? -> the guest goes on ]* -> all is closed
 *
 * The guest is where the last migration left it: at the destination, at the source after a failure, or nowhere when its host
 * crashed or nobody can say; then the run is over.
 */
import { cameBack, type Hop } from './hop.js';
import { GUEST_MAC } from './plan.js';
import { type SimHost, unlessCrashed } from './sim-host.js';
import type { World } from './world.js';

/** A guest that has not come up by then never will. */
const BOOT_LIMIT_MS = 400;
/** After a migration: how long the guest has until it must have answered again, in all. */
const REVIVAL_LIMIT_MS = 400;
const LOOK_MS = 1;
/** How long a migration is under traffic. */
const CALM_AFTER_MS = 60;
/** A run that has come so far begins no further migration. */
const ENOUGH_EVENTS = 60_000;
/** What is on its way when everybody stops sending arrives by then. */
const DRAIN_MS = 5;
/** A link whose other end is gone is let go of by then. */
const CLOSE_LIMIT_MS = 2_000;

export async function runScript(world: World): Promise<void> {
  const [a, b] = world.hosts;
  await Promise.all([a.open(), b.open()]);
  await a.boot(GUEST_MAC);
  world.traffic.start();
  if (!(await until(world, () => isAlive(world, a), BOOT_LIMIT_MS))) {
    world.broken('the simulator itself', 'the guest never came up');
    return;
  }
  await pass(world, world.plan.settleNs / 1e6);
  let owner: SimHost | null = a;
  for (let number = 0; number < world.plan.hops && owner !== null; number++) {
    const to: SimHost = owner === a ? b : a;
    if (to.isCrashed || owner.isCrashed || world.scheduler.happened > ENOUGH_EVENTS) break;
    const hop: Hop = world.beginHop(owner, to);
    await runHop(world, hop);
    owner = ownerAfter(world, hop);
    for (const promise of world.promises) promise.afterHop?.(world, hop);
    await letGo(world, hop, owner);
    if (owner !== null) await settle(world, hop, owner);
  }
  world.traffic.stop();
  await pass(world, DRAIN_MS);
  for (const host of world.hosts) if (!host.isCrashed) await unlessCrashed(host, host.close());
  await until(world, () => world.hops.every(({ link }) => link.openEnds === 0), CLOSE_LIMIT_MS);
  for (const promise of world.promises) promise.atEnd?.(world);
}

/** A migration that waits for somebody who is gone waits in peace: traffic would only make it dear. */
async function runHop(world: World, hop: Hop): Promise<void> {
  const { scheduler, traffic } = world;
  const calm = scheduler.at(CALM_AFTER_MS * 1e6, 'calm', () => traffic.stop());
  await hop.run();
  calm();
  traffic.start();
}

/** Who runs the guest once both ends have ended; null: nobody, for good. */
function ownerAfter(world: World, hop: Hop): SimHost | null {
  const { sourceEnd, destinationEnd, source, destination } = hop;
  const report = sourceEnd?.kind === 'ended' ? sourceEnd.report : null;
  if (report !== null) {
    world.coverage.reach(`outcome:${report.outcome}`);
    if (report.failedDuring !== null) world.coverage.reach(`failed-during:${report.failedDuring}`);
    if (report.recovery !== null) world.coverage.reach(`recovery:${report.recovery}`);
    for (const note of report.notes) world.note(`hop ${hop.number}: ${note}`);
    if (report.error !== null) world.note(`hop ${hop.number}: ${report.outcome}: ${report.error}`);
  }
  if (destinationEnd?.kind === 'failed') {
    world.note(`hop ${hop.number}: destination: ${destinationEnd.error.message}`);
  }
  // a file that is not whole is nobody's VM: the guest must go on here
  if (report?.outcome === 'outcome-unknown' && hop.number === world.plan.diskHop) {
    world.broken(
      'the guest goes on',
      `it was saved to a file that is not whole, and is stopped: ${report.error}`,
    );
  }
  if (report?.error?.includes('ENOSPC')) world.fault('disk-full');
  world.coverage.reach(`destination:${destinationEnd?.kind ?? 'failed'}`);
  if (destinationEnd?.kind === 'running' && !destination.isCrashed) return destination;
  if (report === null || source.isCrashed) return null;
  return cameBack(report) ? source : null;
}

/** A source whose VM is elsewhere, or may be, lets go of it. */
async function letGo(world: World, hop: Hop, owner: SimHost | null): Promise<void> {
  const { source } = hop;
  if (owner !== source && !source.isCrashed) await unlessCrashed(source, source.dropVm());
  world.log('world', 'let go', owner === source ? 0 : 1);
}

/** The guest must answer again; network and cores may still be held up by a fault for a while. */
async function settle(world: World, hop: Hop, owner: SimHost): Promise<void> {
  await pass(world, world.plan.settleNs / 1e6);
  const before = progressOf(world, owner);
  const lives = (): boolean => owner.isCrashed || progressOf(world, owner) > before;
  if (!(await until(world, lives, REVIVAL_LIMIT_MS))) {
    const where = owner === hop.source ? 'the source' : 'the destination';
    world.broken(
      'the guest goes on',
      `${where} has the guest, and it got no frame for ${REVIVAL_LIMIT_MS} ms`,
    );
  }
  for (const promise of world.promises) promise.afterSettling?.(world, hop);
}

const isAlive = (world: World, host: SimHost): boolean => host.vm !== null && progressOf(world, host) > 0;

const progressOf = (world: World, host: SimHost): number =>
  world.guest.progress(host.vm!.memory, world.traffic);

const pass = (world: World, ms: number): Promise<void> =>
  new Promise((resolve) => {
    world.scheduler.at(Math.max(1, ms * 1e6), 'script', resolve);
  });

/** Looks every now and then. Returns whether it came true. */
async function until(world: World, condition: () => boolean, limitMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += LOOK_MS) {
    if (condition()) return true;
    await pass(world, LOOK_MS);
  }
  return condition();
}
