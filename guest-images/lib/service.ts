/**
 * What the driver does every two seconds, and when its "other" vector fires (hardware reference 3.4 to 3.8).
 */
import { clockNs, delayUs } from './machine';
import { printLine } from './console';
import { CLEAR_TO_SEND, FAILURE, fetch, mailboxUsable, resetSeen, word } from './mailbox';
import { Network, queueCauses, rxRing, txRing } from './network';
import { updateStatistics } from './statistics';
import { TxRing } from './tx-ring';
import { LINKS_UP, readRegister, VFLINKS, VFTDH, VFTDT, VTEICS, writeRegister, QUEUE_STRIDE } from './vf';

const PERIOD_NS: u64 = 2_000_000_000;
/** A reset that the PF provokes comes at most so often. */
const RESET_INTERVAL_NS: u64 = 10_000_000_000;

/** Runs what is due. */
export function service(net: Network, nowNs: u64): void {
  if (net.linkQuestion || resetSeen(net.slot)) checkLink(net, nowNs);
  if (nowNs < net.nextServiceNs) return;
  net.nextServiceNs = nowNs + PERIOD_NS;
  updateStatistics(net);
  if (net.linkUp) {
    for (let queue: u32 = 0; queue < net.queues; queue++) checkHang(net, queue);
  }
  writeRegister(net.slot, VTEICS, queueCauses(net));
}

function checkLink(net: Network, nowNs: u64): void {
  net.linkQuestion = true;
  const up = linkIsUp(net, nowNs) && net.linkEnabled;
  if (up == net.linkUp) return;
  net.linkUp = up;
  net.linkChanges++;
  printLine(up ? 'vf: link up' : 'vf: link down');
}

/** Stops asking once the link is up; a PF that took the right to send away makes the driver reset itself. */
function linkIsUp(net: Network, nowNs: u64): bool {
  if (resetSeen(net.slot) || !mailboxUsable()) return false;
  if ((readRegister(net.slot, VFLINKS) & LINKS_UP) == 0) return false;
  for (let looks = 0; looks < 5; looks++) {
    delayUs(100);
    if ((readRegister(net.slot, VFLINKS) & LINKS_UP) == 0) return false;
  }
  // word 0 as it stands: any normal answer of the PF, or its last control message
  if (!fetch(net.slot, 1)) return false;
  if ((word(0) & CLEAR_TO_SEND) == 0) {
    if ((word(0) & FAILURE) != 0 && nowNs - net.lastResetNs > RESET_INTERVAL_NS) {
      printLine('vf: the PF took back the right to send');
      net.resetWanted = true;
    }
    return false;
  }
  net.linkQuestion = false;
  return true;
}

/** Head and tail apart, and no packet completed since the last look: suspicious once, hung twice. */
function checkHang(net: Network, queue: u32): void {
  const ring: TxRing = txRing(net, queue);
  const block = queue * QUEUE_STRIDE;
  const stuck =
    ring.cleaned == ring.cleanedAtCheck && readRegister(net.slot, VFTDH + block) != readRegister(net.slot, VFTDT + block);
  ring.cleanedAtCheck = ring.cleaned;
  if (stuck && ring.suspect) {
    printLine('vf: transmit hung');
    net.hangs++;
    net.resetWanted = true;
  }
  ring.suspect = stuck;
}
