/**
 * CompSC, the guest's half: state replay. What the driver did to the old card is summed up in operation sets, and their last
 * values are where they always are: in the network's own fields, the rings, and the registers that the hypervisor copied.
 *
 *   uninitialised (no VF)     nothing
 *   down                      initialise: RESET, API, page
 *   up                        initialise -> send (each Tx ring) -> receive (each Rx ring) -> interrupts
 *
 * A head cannot be set, and is 0 on the new card: so each ring is turned until the first descriptor that the card has not
 * done lies in slot 0, and the ring's offset says by how much the driver's indices are off from the card's.
 */
import { clockNs } from './machine';
import { awaitEnable, disableRxQueue } from './queues';
import { printLine } from './console';
import { startMailbox } from './mailbox';
import { allocRun, freeRun } from './memory';
import { ABSENT, Network, OPEN, otherVector, queueCauses, rxRing, txRing } from './network';
import { askLinkState, askReset, negotiateApi, setMacAddress, setMaxFrame, setReceiveMode } from './pf-messages';
import { DESCRIPTOR_SHIFT, firstUndone, RxRing, rxSlot } from './rx-ring';
import { cleanTx, TxRing, txSlot } from './tx-ring';
import { lock, registerPage, unlock } from './compsc-page';
import {
  DCTL_ENABLE,
  QUEUE_STRIDE,
  readRegister,
  RXDCTL_VME,
  TXDCTL_RUN,
  VFRDH,
  VFRDT,
  VFRXDCTL,
  VFTDH,
  VFTDT,
  VFTXDCTL,
  VTEICR,
  VTEICS,
  VTEIMS,
  writeRegister,
} from './vf';

/** Before the driver touches the card. True: the card is a new one, every queue is to be looked at. */
export function beginOperation(net: Network): bool {
  if (!lock()) return false;
  replay(net);
  return true;
}

export function endOperation(): void {
  unlock();
}

function replay(net: Network): void {
  if (net.state == ABSENT) return;
  if (!replayInitialise(net)) {
    printLine('vf: the new PF does not answer');
    net.resetWanted = net.state == OPEN;
    return;
  }
  if (net.state != OPEN) return;
  for (let queue: u32 = 0; queue < net.queues; queue++) replaySend(net, queue);
  for (let queue: u32 = 0; queue < net.queues; queue++) replayReceive(net, queue);
  const causes = queueCauses(net) | (1 << otherVector(net));
  readRegister(net.slot, VTEICR);
  writeRegister(net.slot, VTEIMS, causes);
  // whatever an interrupt should have told is looked at
  writeRegister(net.slot, VTEICS, queueCauses(net));
}

function replayInitialise(net: Network): bool {
  startMailbox();
  net.lastResetNs = clockNs();
  net.resetFailed = !askReset(net);
  if (net.resetFailed) return false;
  negotiateApi(net);
  registerPage(net);
  if (net.state != OPEN) return true;
  setReceiveMode(net, true);
  setMaxFrame(net);
  setMacAddress(net);
  net.linkEnabled = askLinkState(net);
  net.linkQuestion = true;
  return true;
}

function replaySend(net: Network, queue: u32): void {
  const ring: TxRing = txRing(net, queue);
  const slot = net.slot;
  const block = queue * QUEUE_STRIDE;
  while (cleanTx(ring) != 0) {}
  turn(ring.descriptors, ring.count, txSlot(ring, ring.nextToClean));
  ring.offset = ring.nextToClean;
  writeRegister(slot, VFTDH + block, 0);
  writeRegister(slot, VFTDT + block, 0);
  writeRegister(slot, VFTXDCTL + block, TXDCTL_RUN);
  awaitEnable(net, VFTXDCTL + block);
  writeRegister(slot, ring.tail, txSlot(ring, ring.announced));
}

function replayReceive(net: Network, queue: u32): void {
  const ring: RxRing = rxRing(net, queue);
  const slot = net.slot;
  const block = queue * QUEUE_STRIDE;
  const first = firstUndone(ring);
  disableRxQueue(net, queue);
  turn(ring.descriptors, ring.count, rxSlot(ring, first));
  ring.offset = first;
  writeRegister(slot, VFRDH + block, 0);
  writeRegister(slot, VFRDT + block, 0);
  writeRegister(slot, VFRXDCTL + block, DCTL_ENABLE | RXDCTL_VME);
  awaitEnable(net, VFRXDCTL + block);
  writeRegister(slot, ring.tail, rxSlot(ring, ring.nextToUse));
}

/** Turns a ring's descriptors so that what lay in slot `by` lies in slot 0. */
function turn(descriptors: usize, count: u32, by: u32): void {
  if (by == 0) return;
  const bytes = <usize>count << DESCRIPTOR_SHIFT;
  const head = <usize>by << DESCRIPTOR_SHIFT;
  const spare = allocRun(head);
  if (spare == 0) {
    turnInPlace(descriptors, count, by);
    return;
  }
  memory.copy(spare, descriptors, head);
  memory.copy(descriptors, descriptors + head, bytes - head);
  memory.copy(descriptors + bytes - head, spare, head);
  freeRun(spare, head);
}

/** Without memory to spare: one slot at a time. */
function turnInPlace(descriptors: usize, count: u32, by: u32): void {
  const bytes = (<usize>count - 1) << DESCRIPTOR_SHIFT;
  for (let left = by; left != 0; left--) {
    const low = load<u64>(descriptors);
    const high = load<u64>(descriptors, 8);
    memory.copy(descriptors, descriptors + 16, bytes);
    store<u64>(descriptors + bytes, low);
    store<u64>(descriptors + bytes, high, 8);
  }
}
