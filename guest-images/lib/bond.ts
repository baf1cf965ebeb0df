/**
 * Two interfaces as one (active-backup, each with a MAC address of its own): the VF carries the traffic while it is there and
 * has a link, the standby does while it has not. Which is active is told to the segment by gratuitous ARP.
 *
 *   VF there, link up --------> VF active
 *   VF is to leave: standby active, told -> VF serves what still comes, until it is quiet -> let go of
 *   VF has arrived: probed, opened, link up -> VF active, told       (the standby serves what still comes)
 *
 * Frames for everybody reach both: the one that is not active drops them, or two would answer.
 */
import { clockNs } from './machine';
import { print, printLine } from './console';
import { release } from './driver';
import { isLeaving, letGo, takeArrived } from './hotplug';
import { askWhoHas } from './net';
import { ABSENT, Network, OPEN } from './network';
import { NEVER } from './timers';

/** Of hot-plug; the interfaces' vectors have the first lines. */
export const HOTPLUG_LINE: u32 = 24;

/** A VF that is to leave has been quiet for so long: what was on its way to it has come. */
const QUIET_NS: u64 = 10_000_000;
/** It leaves after so long even if somebody goes on sending to it. */
const LONGEST_DRAIN_NS: u64 = 300_000_000;
/** An announcement may be lost, or overtaken by a frame from the other interface: it is repeated. */
const ANNOUNCEMENTS: u32 = 3;
const ANNOUNCE_AGAIN_NS: u64 = 50_000_000;

@unmanaged export class Bond {
  vf: Network;
  standby: Network;
  /** Null as long as neither was ever up. */
  active: Network | null;
  /** The VF's slot is filled: it is worth a try to bring it up. */
  vfIsThere: bool;
  /** The VF is to leave: since when, and what it had received when it was last seen to receive. */
  leaving: bool;
  leavingSinceNs: u64;
  quietSinceNs: u64;
  receivedThen: u64;
  announcementsLeft: u32;
  announceAtNs: u64;
  failovers: u64;
}

function isUp(net: Network): bool {
  return net.state == OPEN && net.linkUp;
}

/** Who carries the traffic; a change is told to the segment. */
export function choose(bond: Bond, nowNs: u64): void {
  const vf = bond.vf;
  const standby = bond.standby;
  let wanted: Network | null = bond.active;
  if (isUp(vf) && !(bond.leaving && isUp(standby))) wanted = vf;
  else if (isUp(standby)) wanted = standby;
  if (wanted !== null && wanted !== bond.active) {
    bond.active = wanted;
    vf.standsBy = wanted !== vf;
    standby.standsBy = wanted !== standby;
    bond.failovers++;
    bond.announcementsLeft = ANNOUNCEMENTS;
    bond.announceAtNs = nowNs;
    print('bond: ');
    printLine(wanted === vf ? 'the VF is active' : 'the standby is active');
  }
  if (bond.announcementsLeft == 0 || nowNs < bond.announceAtNs) return;
  const active = bond.active;
  if (active !== null && isUp(active)) askWhoHas(active, active.ip);
  bond.announcementsLeft--;
  bond.announceAtNs = bond.announcementsLeft == 0 ? NEVER : nowNs + ANNOUNCE_AGAIN_NS;
}

/** The hot-plug line: the VF has arrived, or is to leave. */
export function lookAtSlots(bond: Bond, nowNs: u64): void {
  const vf = bond.vf;
  if (takeArrived() != 0) bond.vfIsThere = true;
  if (bond.leaving || vf.slot == 0 || !isLeaving(vf.slot)) return;
  bond.leaving = true;
  bond.leavingSinceNs = nowNs;
  bond.quietSinceNs = nowNs;
  bond.receivedThen = received(vf);
}

function received(net: Network): u64 {
  return net.rx0.packets + net.rx1.packets;
}

/** A VF that is to leave goes as soon as nothing comes to it any more. */
export function drain(bond: Bond, nowNs: u64): void {
  if (!bond.leaving) return;
  const vf = bond.vf;
  if (!isLeaving(vf.slot)) {
    // not any more
    bond.leaving = false;
    return;
  }
  const now = received(vf);
  if (now != bond.receivedThen) {
    bond.receivedThen = now;
    bond.quietSinceNs = nowNs;
  }
  if (vf.state == OPEN && isUp(bond.standby)) {
    if (nowNs - bond.quietSinceNs < QUIET_NS && nowNs - bond.leavingSinceNs < LONGEST_DRAIN_NS) return;
  }
  const slot = vf.slot;
  release(vf);
  // the next one is told to the segment, whatever was active before
  if (bond.active === vf) bond.active = null;
  bond.leaving = false;
  // the request may have been taken back meanwhile: then it is brought up again
  bond.vfIsThere = !letGo(slot);
  choose(bond, clockNs());
}

/** When the bond wants its next turn, ns. */
export function bondDueNs(bond: Bond, nowNs: u64): u64 {
  const announceNs = bond.announcementsLeft == 0 ? NEVER : bond.announceAtNs;
  return bond.leaving ? min(announceNs, nowNs + 1_000_000) : announceNs;
}
