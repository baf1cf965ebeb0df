/**
 * The life of the interface, register by register as the stock ixgbevf driver leads it (hardware reference 3.2 to 3.9).
 *
 *   probe:  enable function -> stop adapter -> reset -> API -> queues -> MSI-X -> statistics
 *   open:   rings -> receive mode -> Tx queues -> Rx queues -> vectors -> MAC -> unmask
 *   close:  Rx queues off -> interrupts off -> Tx queues off -> reset
 *   remove: MSI-X off -> bus mastering off
 */
import { registerPage } from './compsc-page';
import { clockNs } from './machine';
import { print, printLine, printMac, printNumber } from './console';
import { awaitPfReset, startMailbox } from './mailbox';
import { make } from './memory';
import {
  ABSENT,
  MAX_QUEUES,
  Network,
  OPEN,
  otherVector,
  PROBED,
  queueCauses,
  rxRing,
  txRing,
} from './network';
import {
  API_1_1,
  askLinkState,
  askQueues,
  askReset,
  negotiateApi,
  setMacAddress,
  setMaxFrame,
  setReceiveMode,
} from './pf-messages';
import {
  connectVector,
  disableDevice,
  disableMsix,
  disconnectVector,
  enableDevice,
  enableMsix,
  findVf,
} from './pci';
import { allocateRx, freeRx, freeRxPages, RxRing } from './rx-ring';
import { disableRxQueue, HALF_PAGE_MTU, startRxQueue, startTxQueue } from './queues';
import { touchRings } from './dummy-writes';
import { baselineStatistics, updateStatistics } from './statistics';
import { registerHelper } from './suspend';
import { allocateTx, freeTx, TxRing } from './tx-ring';
import { COMPSC, SUSPEND } from './variant';
import {
  CTRL_RST,
  DCTL_ENABLE,
  DCTL_SWFLSH,
  flushWrites,
  ITR_NO_DISTURB,
  IVAR_VALID,
  PSRTYPE_RUN,
  PSRTYPE_TWO_QUEUES,
  QUEUE_STRIDE,
  readRegister,
  VFCTRL,
  VFPSRTYPE,
  VFRXDCTL,
  VFTXDCTL,
  VTEIAC,
  VTEIAM,
  VTEICR,
  VTEIMC,
  VTEIMS,
  VTEITR,
  VTIVAR,
  VTIVAR_MISC,
  writeRegister,
} from './vf';

/** An 82599 VF with API 1.1 or newer. */
export const MAX_MTU: u32 = 9710;
/** 50 us between interrupts, in register units. */
const ITR_START: u32 = 200;
export const LATENCY_LOW: u32 = 1;

/** A network interface without a VF yet. Rings and options are set by the caller. */
export function makeNetwork(): Network {
  const net = make<Network>();
  net.rx0 = make<RxRing>();
  net.rx1 = make<RxRing>();
  net.tx0 = make<TxRing>();
  net.tx1 = make<TxRing>();
  return net;
}

// --- probe and remove -----------------------------------------------------------------------------------------------

/** Looks for a VF and makes it known. False: there is none, or it has no MSI-X. `wantedQueues` 0: as many as the PF gives. */
export function probe(net: Network, wantedQueues: u32): bool {
  const slot = findVf();
  if (slot == 0) return false;
  net.slot = slot;
  enableDevice(slot);
  net.queues = MAX_QUEUES;
  stopAdapter(net);
  if (resetVf(net)) {
    negotiateApi(net);
    let queues: u32 = net.api >= API_1_1 ? askQueues(net) : 1;
    if (wantedQueues != 0) queues = min(queues, wantedQueues);
    net.queues = min(queues, MAX_QUEUES);
  } else {
    printLine('vf: the PF is still in reset, or does not answer; the address is made up');
    net.resetFailed = true;
    net.api = 0;
    net.queues = 1;
  }
  if (net.permanentLow == 0 && net.permanentHigh == 0) randomMac(net);
  net.macLow = net.permanentLow;
  net.macHigh = net.permanentHigh;
  const vectors = enableMsix(slot);
  if (vectors < 2) return false;
  net.queues = min(net.queues, vectors - 1);
  baselineStatistics(net);
  net.state = PROBED;
  report(net);
  return true;
}

export function remove(net: Network): void {
  disableMsix(net.slot);
  disableDevice(net.slot);
  net.state = ABSENT;
  net.slot = 0;
}

function report(net: Network): void {
  print('vf: slot ');
  printNumber(net.slot);
  print(', address ');
  printMac(changetype<usize>(net));
  print(', mailbox API ');
  printNumber(net.api);
  print(', queues ');
  printNumber(net.queues);
  printLine('');
}

/** A locally administered address, from the clock. */
function randomMac(net: Network): void {
  let seed = clockNs() * 0x9e3779b97f4a7c15;
  seed ^= seed >> 29;
  net.permanentLow = (<u32>seed & ~0xff) | 0x02;
  net.permanentHigh = <u32>(seed >> 32) & 0xffff;
}

// --- reset ----------------------------------------------------------------------------------------------------------

export function stopAdapter(net: Network): void {
  const slot = net.slot;
  for (let queue: u32 = 0; queue < MAX_QUEUES; queue++) {
    const register = VFRXDCTL + queue * QUEUE_STRIDE;
    const value = readRegister(slot, register);
    if ((value & DCTL_ENABLE) != 0) writeRegister(slot, register, value & ~DCTL_ENABLE);
  }
  flushWrites(slot);
  writeRegister(slot, VTEIMC, 7);
  readRegister(slot, VTEICR);
  for (let queue: u32 = 0; queue < MAX_QUEUES; queue++) {
    const register = VFTXDCTL + queue * QUEUE_STRIDE;
    const value = readRegister(slot, register);
    if ((value & DCTL_ENABLE) != 0) writeRegister(slot, register, value & ~DCTL_ENABLE);
  }
}

/** VF reset and the RESET message. */
export function resetVf(net: Network): bool {
  net.api = 0;
  writeRegister(net.slot, VFCTRL, CTRL_RST);
  flushWrites(net.slot);
  const ready = awaitPfReset(net.slot);
  if (ready) startMailbox();
  net.lastResetNs = clockNs();
  net.resetFailed = !ready || !askReset(net);
  if (COMPSC && !net.resetFailed) registerPage(net);
  if (SUSPEND && !net.resetFailed) registerHelper(net);
  return !net.resetFailed;
}

// --- open -----------------------------------------------------------------------------------------------------------

/** Brings the interface up. False: the PF does not answer, or there is no memory. */
export function open(net: Network): bool {
  if (net.resetFailed) {
    stopAdapter(net);
    if (!resetVf(net)) return false;
    negotiateApi(net);
  }
  if (!allocateRings(net)) {
    printLine('vf: no memory for rings and buffers');
    return false;
  }
  if (net.api >= API_1_1) askQueues(net);
  start(net);
  return true;
}

/** open() without the rings' memory: what a reset of a running interface does again. */
export function start(net: Network): void {
  const slot = net.slot;
  setReceiveMode(net, true);
  for (let queue: u32 = 0; queue < net.queues; queue++) startTxQueue(net, queue);
  writeRegister(slot, VFPSRTYPE, PSRTYPE_RUN | (net.queues > 1 ? PSRTYPE_TWO_QUEUES : 0));
  if (!setMaxFrame(net)) printLine('vf: the PF refused the MTU');
  for (let queue: u32 = 0; queue < net.queues; queue++) startRxQueue(net, queue);
  routeVectors(net);
  if (!setMacAddress(net)) {
    net.macLow = net.permanentLow;
    net.macHigh = net.permanentHigh;
  }
  net.linkEnabled = askLinkState(net);
  net.linkQuestion = true;
  const causes = queueCauses(net) | (1 << otherVector(net));
  readRegister(slot, VTEICR);
  writeRegister(slot, VTEIAM, causes);
  writeRegister(slot, VTEIAC, causes);
  writeRegister(slot, VTEIMS, causes);
  baselineStatistics(net);
  net.resetWanted = false;
  net.nextServiceNs = clockNs();
  net.state = OPEN;
  net.opens++;
  setReceiveMode(net, false);
}

function allocateRings(net: Network): bool {
  const large = net.mtu > HALF_PAGE_MTU;
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    const bufferBytes: u32 = large ? 10240 : 2048;
    if (!allocateRx(rxRing(net, queue), net.rxCount, large, net.hold)) return false;
    if (!allocateTx(txRing(net, queue), net.txCount, bufferBytes, net.txBatch)) return false;
  }
  return true;
}

/** One vector per queue pair, the next one for everything else; line = vector. */
function routeVectors(net: Network): void {
  const slot = net.slot;
  const other = otherVector(net);
  for (let vector: u32 = 0; vector <= other; vector++) connectVector(slot, vector, vector);
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    setIvar(slot, queue << 1, queue);
    setIvar(slot, (queue << 1) + 1, queue);
    writeRegister(slot, VTEITR + (queue << 2), ITR_START | ITR_NO_DISTURB);
  }
  net.itr0 = net.itr1 = ITR_START;
  net.latency0 = net.latency1 = LATENCY_LOW;
  const misc = readRegister(slot, VTIVAR_MISC) & ~0xff;
  writeRegister(slot, VTIVAR_MISC, misc | other | IVAR_VALID);
  writeRegister(slot, VTEITR + (other << 2), ITR_START | ITR_NO_DISTURB);
}

/** Entry 2q is Rx queue q, 2q + 1 Tx queue q; four entries a register. */
function setIvar(slot: u32, entry: u32, vector: u32): void {
  const register = VTIVAR + ((entry >> 2) << 2);
  const shift = (entry & 3) << 3;
  const others = readRegister(slot, register) & ~(0xff << shift);
  writeRegister(slot, register, others | ((vector | IVAR_VALID) << shift));
}

// --- close ----------------------------------------------------------------------------------------------------------

/** Queues and interrupts off. */
function halt(net: Network): void {
  const slot = net.slot;
  // what the card counted so far would be lost in the next baseline
  updateStatistics(net);
  for (let queue: u32 = 0; queue < net.queues; queue++) disableRxQueue(net, queue);
  writeRegister(slot, VTEIAM, 0);
  writeRegister(slot, VTEIMC, 0xffffffff);
  writeRegister(slot, VTEIAC, 0);
  flushWrites(slot);
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    writeRegister(slot, VFTXDCTL + queue * QUEUE_STRIDE, DCTL_SWFLSH);
  }
  net.linkUp = false;
  net.state = PROBED;
  stopAdapter(net);
}

function stop(net: Network): void {
  const slot = net.slot;
  halt(net);
  if (resetVf(net)) negotiateApi(net);
  if (COMPSC || SUSPEND) touchRings(net);
  for (let vector: u32 = 0; vector <= otherVector(net); vector++) disconnectVector(slot, vector);
}

/** Takes the interface down and gives the memory of its rings back. */
export function close(net: Network): void {
  stop(net);
  freeRings(net);
}

/** The VF is about to be unplugged: as close and remove, but nobody is asked anything: who takes the VF away resets it. */
export function release(net: Network): void {
  if (net.state == OPEN) {
    halt(net);
    writeRegister(net.slot, VFCTRL, CTRL_RST);
    flushWrites(net.slot);
    for (let vector: u32 = 0; vector <= otherVector(net); vector++) disconnectVector(net.slot, vector);
    freeRings(net);
  }
  remove(net);
}

function freeRings(net: Network): void {
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    freeRx(rxRing(net, queue));
    freeTx(txRing(net, queue));
  }
}

/** Down and up with the rings where they are: what the driver does to a hung or disowned VF. */
export function reinitialise(net: Network): void {
  stop(net);
  for (let queue: u32 = 0; queue < net.queues; queue++) freeRxPages(rxRing(net, queue));
  enableDevice(net.slot);
  start(net);
}
