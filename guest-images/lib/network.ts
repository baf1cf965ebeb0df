/**
 * One network interface: a VF, its rings, its counters. State only; driver.ts makes it live.
 */
import { RxRing } from './rx-ring';
import { TxRing } from './tx-ring';

export const MAX_QUEUES: u32 = 2;

/** absent -> probed -> open -> probed -> absent */
export const ABSENT: u32 = 0;
export const PROBED: u32 = 1;
export const OPEN: u32 = 2;
/** Open, and stopped on the PF's wish until it says otherwise. */
export const SUSPENDED: u32 = 3;

@unmanaged export class Network {
  /** Six bytes of MAC address; first, so that its address is the structure's. */
  macLow: u32;
  macHigh: u32;
  permanentLow: u32;
  permanentHigh: u32;
  /** As it lies in a packet. */
  ip: u32;
  /** PCI slot; 0 when there is no VF. */
  slot: u32;
  state: u32;
  api: u32;
  queues: u32;
  mtu: u32;
  rxCount: u32;
  txCount: u32;
  txBatch: u32;
  hold: u32;
  multicastFilter: u32;
  rx0: RxRing;
  rx1: RxRing;
  tx0: TxRing;
  tx1: TxRing;
  /** The other one of two bonded interfaces. */
  partner: Network | null;
  /** It stands by: what is for everybody comes to the other one, too, and is taken there. */
  standsBy: bool;
  /** Something happened to the link: look at it. */
  linkQuestion: bool;
  linkUp: bool;
  /** The last GET_LINK_STATE's answer. */
  linkEnabled: bool;
  /** A reset is wanted: hung transmit, or lost clear-to-send. */
  resetWanted: bool;
  /** The last attempt to reset the VF failed: it is tried again at open. */
  resetFailed: bool;
  lastResetNs: u64;
  nextServiceNs: u64;
  /** Adaptive moderation: interval in register units, and class, per queue vector. */
  itr0: u32;
  itr1: u32;
  latency0: u32;
  latency1: u32;
  turnPackets: u32;
  turnBytes: u32;
  // what the driver counts itself
  opens: u64;
  reloads: u64;
  disableTimeouts: u64;
  enableTimeouts: u64;
  hangs: u64;
  interrupts: u64;
  linkChanges: u64;
  checksumErrors: u64;
  // the card's counters, carried on over their wraps
  gprc: u64;
  gorc: u64;
  gptc: u64;
  gotc: u64;
  mprc: u64;
  lastGprc: u32;
  lastGptc: u32;
  lastMprc: u32;
  lastGorc: u64;
  lastGotc: u64;
}

@inline export function rxRing(net: Network, queue: u32): RxRing {
  return queue == 0 ? net.rx0 : net.rx1;
}

@inline export function txRing(net: Network, queue: u32): TxRing {
  return queue == 0 ? net.tx0 : net.tx1;
}

/** The address of the interface's own MAC address, six bytes. */
@inline export function macOf(net: Network): usize {
  return changetype<usize>(net);
}

/** Cause bits of the queue vectors. */
@inline export function queueCauses(net: Network): u32 {
  return (1 << net.queues) - 1;
}

/** Cause bit, vector and line of everything that is no queue's. */
@inline export function otherVector(net: Network): u32 {
  return net.queues;
}
