/**
 * The main loop of a guest whose VF is one of two bonded interfaces, and may leave and come back: serve.ts with the bond's
 * affairs beside. The application sees one interface at a time: a packet is answered where it came in.
 *
 * Options as in serve.ts, without reset-every and reload-every.
 */
import { clockNs, FOREVER_US, takeLines } from './machine';
import { Bond, bondDueNs, choose, drain, HOTPLUG_LINE, lookAtSlots } from './bond';
import { printLine } from './console';
import { makeNetwork, open, probe, reinitialise } from './driver';
import { takePart } from './hotplug';
import { make } from './memory';
import { adjustModeration } from './moderation';
import { ABSENT, Network, OPEN, PROBED } from './network';
import { pollQueue } from './poll';
import { configure, handleLines, NEVER, RETRY_NS, TURNS_PER_CLOCK, wantedQueues } from './serve';
import { service } from './service';
import { VTEIMS, writeRegister } from './vf';

let retryAtNs: u64 = 0;

function makeBond(): Bond {
  const bond = make<Bond>();
  bond.vf = makeNetwork();
  bond.standby = makeNetwork();
  configure(bond.vf);
  configure(bond.standby);
  bond.vfIsThere = true;
  return bond;
}

/** Tries a VF that is not up yet; without one in its slot there is nothing to try. */
function bringVfUp(bond: Bond): void {
  const vf = bond.vf;
  retryAtNs = clockNs() + RETRY_NS;
  if (vf.state == ABSENT && !probe(vf, wantedQueues())) return;
  if (vf.state == PROBED && open(vf)) service(vf, clockNs());
}

/** What the clock asks for. */
function keepUp(bond: Bond, nowNs: u64): void {
  const vf = bond.vf;
  if (vf.state != OPEN) {
    if (bond.vfIsThere && !bond.leaving && nowNs >= retryAtNs) bringVfUp(bond);
  } else if (vf.resetWanted) {
    reinitialise(vf);
  } else if (nowNs >= vf.nextServiceNs) {
    service(vf, nowNs);
  }
  drain(bond, clockNs());
  choose(bond, clockNs());
}

/** Runs for ever. */
export function serveBonded<A>(app: A): u32 {
  const bond = makeBond();
  if (!takePart(HOTPLUG_LINE)) printLine('bond: this machine has no hot-plug');
  bringVfUp(bond);
  choose(bond, clockNs());
  app.start(bond.vf);
  const vf = bond.vf;
  let scheduled: u32 = 0;
  let turns: u32 = 0;
  let appAt: u64 = 0;
  let nowNs: u64 = 0;
  for (;;) {
    if (turns == 0) {
      nowNs = clockNs();
      keepUp(bond, nowNs);
      const active = bond.active;
      if (appAt <= nowNs && active !== null) appAt = app.work(active, nowNs);
      turns = TURNS_PER_CLOCK;
    }
    turns = scheduled == 0 ? 0 : turns - 1;
    const lines = takeLines(scheduled != 0 ? 0 : untilUs(bond, appAt, nowNs));
    if ((lines & (1 << HOTPLUG_LINE)) != 0) {
      lookAtSlots(bond, clockNs());
      if (vf.state != OPEN && bond.vfIsThere) retryAtNs = 0;
      turns = 0;
    }
    if (vf.state != OPEN) {
      scheduled = 0;
      continue;
    }
    scheduled = handleLines(vf, scheduled, lines & VF_LINES);
    scheduled = pollVf<A>(vf, scheduled, app);
  }
  return 0;
}

/** The VF's vectors are its lines. */
const VF_LINES: u32 = 7;

@inline function pollVf<A>(vf: Network, scheduled: u32, app: A): u32 {
  let left = scheduled;
  for (let queue: u32 = 0; queue < vf.queues; queue++) {
    const bit: u32 = 1 << queue;
    if ((left & bit) == 0 || pollQueue<A>(vf, queue, app)) continue;
    left &= ~bit;
    adjustModeration(vf, queue);
    writeRegister(vf.slot, VTEIMS, bit);
  }
  return left;
}

/** How long to wait for a line. */
function untilUs(bond: Bond, appAt: u64, nowNs: u64): u32 {
  let dueNs = min(appAt, bondDueNs(bond, nowNs));
  if (bond.vf.state == OPEN) dueNs = min(dueNs, bond.vf.nextServiceNs);
  else if (bond.vfIsThere) dueNs = min(dueNs, retryAtNs);
  if (dueNs == NEVER) return FOREVER_US;
  return dueNs <= nowNs ? 0 : <u32>min((dueNs - nowNs + 999) / 1000, <u64>(FOREVER_US - 1));
}
