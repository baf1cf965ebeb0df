/**
 * Suspending the card and setting it up again, for the driver that the PF may tell to (suspend.ts). What the card held is in the
 * driver's own fields; its rings begin anew.
 */
import { resetVf, start, stopAdapter } from './driver';
import { touchRings } from './dummy-writes';
import { delayUs } from './machine';
import { Network, queueCauses, rxRing, SUSPENDED } from './network';
import { enableDevice } from './pci';
import { negotiateApi } from './pf-messages';
import { disableRxQueue } from './queues';
import { freeRxPages } from './rx-ring';
import { updateStatistics } from './statistics';
import {
  DCTL_ENABLE,
  ITR_NO_DISTURB,
  QUEUE_STRIDE,
  readRegister,
  VFTDH,
  VFTDT,
  VFTXDCTL,
  VTEIMC,
  VTEITR,
  writeRegister,
} from './vf';

const DRAIN_TRIES: u32 = 100;
const STOP_TRIES: u32 = 10;
const TRY_US: u32 = 10;

/** Stops the card; its mailbox goes on telling of messages. */
export function suspendDevice(net: Network): void {
  const slot = net.slot;
  updateStatistics(net);
  writeRegister(slot, VTEIMC, queueCauses(net));
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    disableRxQueue(net, queue);
    drainTx(net, queue);
  }
  touchRings(net);
  net.linkUp = false;
  net.state = SUSPENDED;
}

/** What was given to the card leaves it first: about a millisecond of patience. */
function drainTx(net: Network, queue: u32): void {
  const slot = net.slot;
  const block = queue * QUEUE_STRIDE;
  for (let tries: u32 = 0; tries < DRAIN_TRIES; tries++) {
    if (readRegister(slot, VFTDH + block) == readRegister(slot, VFTDT + block)) break;
    delayUs(TRY_US);
  }
  writeRegister(slot, VFTXDCTL + block, 0);
  for (let tries: u32 = 0; tries < STOP_TRIES; tries++) {
    if ((readRegister(slot, VFTXDCTL + block) & DCTL_ENABLE) == 0) return;
    delayUs(TRY_US);
  }
  net.disableTimeouts++;
}

/** Sets the card up, which may be another one. False: its PF does not answer. */
export function resumeDevice(net: Network): bool {
  const itr0 = net.itr0;
  const itr1 = net.itr1;
  enableDevice(net.slot);
  stopAdapter(net);
  if (!resetVf(net)) return false;
  negotiateApi(net);
  for (let queue: u32 = 0; queue < net.queues; queue++) freeRxPages(rxRing(net, queue));
  start(net);
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    const interval = queue == 0 ? itr0 : itr1;
    if (queue == 0) net.itr0 = interval;
    else net.itr1 = interval;
    writeRegister(net.slot, VTEITR + (queue << 2), (interval & 0xff8) | ITR_NO_DISTURB);
  }
  return true;
}
