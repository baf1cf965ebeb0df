/**
 * The main loop of a guest with two bonded interfaces (bond.ts), a VF that may leave and come back and a virtio NIC that stands
 * by: serve.ts and serve-virtio.ts in one, with the bond's affairs beside. Both are served all the time; the application answers
 * a packet where it came in, and sends its own on the active one.
 *
 * Options as in serve.ts, without reset-every and reload-every.
 */
import { clockNs, takeLines } from './machine';
import { Bond, bondDueNs, choose, drain, HOTPLUG_LINE, lookAtSlots } from './bond';
import { printLine } from './console';
import { makeNetwork, open, probe, reinitialise } from './driver';
import { takePart } from './hotplug';
import { make } from './memory';
import { adjustModeration } from './moderation';
import { ABSENT, Network, OPEN, PROBED } from './network';
import { pollQueue } from './poll';
import { configure, handleLines, RETRY_NS, TURNS_PER_CLOCK, wantedQueues } from './serve';
import { service } from './service';
import { waitUs } from './timers';
import { VTEIMS, writeRegister } from './vf';
import {
  closeVirtio,
  makeVirtioNetwork,
  openVirtio,
  pollVirtio,
  probeVirtio,
  restVirtio,
  serviceVirtio,
  VIRTIO_CONFIG_LINE,
  VIRTIO_LINE,
} from './virtio-net';

/** The VF's vectors are its lines. */
const VF_LINES: u32 = 7;

let vfRetryAtNs: u64 = 0;
let standbyRetryAtNs: u64 = 0;

function makeBond(): Bond {
  const bond = make<Bond>();
  bond.vf = makeNetwork();
  bond.standby = makeVirtioNetwork();
  configure(bond.vf);
  configure(bond.standby);
  bond.vf.partner = bond.standby;
  bond.standby.partner = bond.vf;
  bond.vfIsThere = true;
  return bond;
}

/** Tries a VF that is not up yet. */
function bringVfUp(vf: Network): void {
  vfRetryAtNs = clockNs() + RETRY_NS;
  if (vf.state == ABSENT && !probe(vf, wantedQueues())) return;
  if (vf.state == PROBED && open(vf)) service(vf, clockNs());
}

function bringStandbyUp(standby: Network): void {
  standbyRetryAtNs = clockNs() + RETRY_NS;
  if (standby.state == ABSENT && !probeVirtio(standby)) return;
  if (standby.state == PROBED && openVirtio(standby)) standby.tx0.batch = standby.txBatch;
}

/** What the clock asks for. */
function keepUp(bond: Bond, nowNs: u64): void {
  const vf = bond.vf;
  const standby = bond.standby;
  if (vf.state != OPEN) {
    if (bond.vfIsThere && !bond.leaving && nowNs >= vfRetryAtNs) bringVfUp(vf);
  } else if (vf.resetWanted) {
    reinitialise(vf);
  } else if (nowNs >= vf.nextServiceNs) {
    service(vf, nowNs);
  }
  if (standby.state == OPEN && standby.resetWanted) {
    closeVirtio(standby);
    standby.resetWanted = false;
    standbyRetryAtNs = 0;
  }
  if (standby.state != OPEN && nowNs >= standbyRetryAtNs) bringStandbyUp(standby);
  // the driver slept meanwhile, perhaps
  choose(bond, clockNs());
  drain(bond, clockNs());
}

/** Runs for ever. */
export function serveBonded<A>(app: A): u32 {
  const bond = makeBond();
  const vf = bond.vf;
  const standby = bond.standby;
  if (!takePart(HOTPLUG_LINE)) printLine('bond: this machine has no hot-plug');
  keepUp(bond, clockNs());
  app.start(vf);
  let vfScheduled: u32 = 0;
  let standbyScheduled = false;
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
    const isBusy = vfScheduled != 0 || standbyScheduled;
    turns = isBusy ? turns - 1 : 0;
    const lines = takeLines(isBusy ? 0 : untilUs(bond, appAt, nowNs));
    if ((lines & (1 << HOTPLUG_LINE)) != 0) {
      lookAtSlots(bond, clockNs());
      vfRetryAtNs = 0;
      turns = 0;
    }
    vfScheduled = vf.state == OPEN ? turnVf<A>(vf, handleLines(vf, vfScheduled, lines & VF_LINES), app) : 0;
    if (standby.state == OPEN) standbyScheduled = turnStandby<A>(standby, standbyScheduled, lines, app);
  }
  return 0;
}

@inline function turnVf<A>(vf: Network, scheduled: u32, app: A): u32 {
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

@inline function turnStandby<A>(standby: Network, scheduled: bool, lines: u32, app: A): bool {
  if ((lines & (1 << VIRTIO_CONFIG_LINE)) != 0) serviceVirtio(standby);
  if ((lines & (1 << VIRTIO_LINE)) != 0) standby.interrupts++;
  else if (!scheduled) return false;
  return pollVirtio<A>(standby, app) || restVirtio(standby);
}

/** How long to wait for a line. */
function untilUs(bond: Bond, appAt: u64, nowNs: u64): u32 {
  let dueNs = min(appAt, bondDueNs(bond, nowNs));
  if (bond.vf.state == OPEN) dueNs = min(dueNs, bond.vf.nextServiceNs);
  else if (bond.vfIsThere) dueNs = min(dueNs, vfRetryAtNs);
  if (bond.standby.state != OPEN) dueNs = min(dueNs, standbyRetryAtNs);
  return waitUs(dueNs, nowNs);
}
