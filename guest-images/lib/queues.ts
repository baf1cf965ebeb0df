/** Bringing one queue of the card up and down (hardware reference 3.3 and 3.9). */
import { printLine } from './console';
import { delayUs, sleepUs } from './machine';
import { Network, rxRing, txRing } from './network';
import { DESCRIPTOR_SHIFT, refill, rxUnused, startRx } from './rx-ring';
import { startTx } from './tx-ring';
import {
  DCA_RXCTRL_RUN,
  DCA_TXCTRL_RUN,
  DCTL_ENABLE,
  DCTL_SWFLSH,
  flushWrites,
  QUEUE_STRIDE,
  readRegister,
  RXDCTL_VME,
  SRRCTL_2K,
  SRRCTL_3K,
  TXDCTL_RUN,
  VFDCA_RXCTRL,
  VFDCA_TXCTRL,
  VFRDBAH,
  VFRDBAL,
  VFRDH,
  VFRDLEN,
  VFRDT,
  VFRXDCTL,
  VFSRRCTL,
  VFTDBAH,
  VFTDBAL,
  VFTDH,
  VFTDLEN,
  VFTDT,
  VFTDWBAH,
  VFTDWBAL,
  VFTXDCTL,
  writeRegister,
} from './vf';

/** Up to this MTU a frame fits half a page; beyond, buffers of 3 KiB in halves of 8 KiB are used. */
export const HALF_PAGE_MTU: u32 = 1646;
const DISABLE_TRIES: u32 = 10;
const DISABLE_TRY_US: u32 = 10;
const ENABLE_TRIES: u32 = 10;
const ENABLE_TRY_US: u32 = 1000;

/** Waits for ENABLE to read as wanted: sleeps 1 ms per look. */
export function awaitEnable(net: Network, register: u32): void {
  for (let tries: u32 = 0; tries < ENABLE_TRIES; tries++) {
    sleepUs(ENABLE_TRY_US);
    if ((readRegister(net.slot, register) & DCTL_ENABLE) != 0) return;
  }
  net.enableTimeouts++;
  printLine('vf: a queue did not come up');
}

export function startTxQueue(net: Network, queue: u32): void {
  const slot = net.slot;
  const block = queue * QUEUE_STRIDE;
  const ring = txRing(net, queue);
  ring.slot = slot;
  ring.tail = VFTDT + block;
  writeRegister(slot, VFTXDCTL + block, DCTL_SWFLSH);
  flushWrites(slot);
  writeRegister(slot, VFTDBAL + block, <u32>ring.descriptors);
  writeRegister(slot, VFTDBAH + block, 0);
  writeRegister(slot, VFTDLEN + block, ring.count << DESCRIPTOR_SHIFT);
  writeRegister(slot, VFTDWBAH + block, 0);
  writeRegister(slot, VFTDWBAL + block, 0);
  writeRegister(slot, VFDCA_TXCTRL + block, DCA_TXCTRL_RUN);
  writeRegister(slot, VFTDH + block, 0);
  writeRegister(slot, VFTDT + block, 0);
  startTx(ring);
  writeRegister(slot, VFTXDCTL + block, TXDCTL_RUN);
  awaitEnable(net, VFTXDCTL + block);
}

export function disableRxQueue(net: Network, queue: u32): void {
  const register = VFRXDCTL + queue * QUEUE_STRIDE;
  writeRegister(net.slot, register, readRegister(net.slot, register) & ~DCTL_ENABLE);
  for (let tries: u32 = 0; tries < DISABLE_TRIES; tries++) {
    delayUs(DISABLE_TRY_US);
    if ((readRegister(net.slot, register) & DCTL_ENABLE) == 0) return;
  }
  net.disableTimeouts++;
  printLine('vf: a receive queue did not stop');
}

export function startRxQueue(net: Network, queue: u32): void {
  const slot = net.slot;
  const block = queue * QUEUE_STRIDE;
  const ring = rxRing(net, queue);
  ring.slot = slot;
  ring.tail = VFRDT + block;
  const control = readRegister(slot, VFRXDCTL + block);
  disableRxQueue(net, queue);
  writeRegister(slot, VFRDBAL + block, <u32>ring.descriptors);
  writeRegister(slot, VFRDBAH + block, 0);
  writeRegister(slot, VFRDLEN + block, ring.count << DESCRIPTOR_SHIFT);
  writeRegister(slot, VFDCA_RXCTRL + block, DCA_RXCTRL_RUN);
  writeRegister(slot, VFRDH + block, 0);
  writeRegister(slot, VFRDT + block, 0);
  startRx(ring);
  writeRegister(slot, VFSRRCTL + block, net.mtu > HALF_PAGE_MTU ? SRRCTL_3K : SRRCTL_2K);
  writeRegister(slot, VFRXDCTL + block, control | DCTL_ENABLE | RXDCTL_VME);
  awaitEnable(net, VFRXDCTL + block);
  refill(ring, rxUnused(ring));
}
