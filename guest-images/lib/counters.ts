/**
 * What a guest answers to a query on UDP port 9001: 32 counters, u64 little-endian, in this order. An application sets
 * the first sixteen as far as they mean something to it; the driver's own follow.
 *
 *   0 received  1 bytes  2 bad checksum  3 out of order  4 duplicates  5 lost     test payload, or the application's data
 *   6..15                                                                         the application's own, see its source
 *   16 rxPackets 17 rxBytes 18 txPackets 19 txBytes 20 rxErrors 21 txBusy 22 opens 23 reloads
 *   24 VFGPRC 25 VFGORC 26 VFGPTC 27 VFGOTC 28 VFMPRC (carried on over wraps)
 *   29 interrupts 30 time-outs (ENABLE did not follow) and hangs 31 clock, ns
 */
import { clockNs } from './machine';
import { Network, rxRing, txRing } from './network';
import { updateStatistics } from './statistics';

export const STATS_PORT: u32 = 9001;
export const STATS_BYTES: u32 = 256;
/** A query whose first word this is sets the application's counters back before it is answered. */
export const STATS_RESET: u32 = 1;

/** The counters of the application: index 0 to 15. */
export const counters: usize = memory.data(128, 8);

@inline export function count(index: usize): void {
  store<u64>(counters + (index << 3), load<u64>(counters + (index << 3)) + 1);
}

@inline export function addTo(index: usize, amount: u64): void {
  store<u64>(counters + (index << 3), load<u64>(counters + (index << 3)) + amount);
}

@inline export function setCounter(index: usize, value: u64): void {
  store<u64>(counters + (index << 3), value);
}

export const RECEIVED: usize = 0;
export const BYTES: usize = 1;
export const BAD_CHECKSUM: usize = 2;
export const OUT_OF_ORDER: usize = 3;
export const DUPLICATES: usize = 4;
export const LOST: usize = 5;

export function clearCounters(): void {
  memory.fill(counters, 0, 128);
}

/** Writes the reply's payload. */
export function writeStats(net: Network, target: usize): void {
  memory.copy(target, counters, 128);
  let rxPackets: u64 = 0;
  let rxBytes: u64 = 0;
  let txPackets: u64 = 0;
  let txBytes: u64 = 0;
  let rxErrors: u64 = net.checksumErrors;
  let txBusy: u64 = 0;
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    const rx = rxRing(net, queue);
    const tx = txRing(net, queue);
    rxPackets += rx.packets;
    rxBytes += rx.bytes;
    txPackets += tx.packets;
    txBytes += tx.bytes;
    rxErrors += rx.errors;
    txBusy += tx.busy;
  }
  updateStatistics(net);
  store<u64>(target, rxPackets, 128);
  store<u64>(target, rxBytes, 136);
  store<u64>(target, txPackets, 144);
  store<u64>(target, txBytes, 152);
  store<u64>(target, rxErrors, 160);
  store<u64>(target, txBusy, 168);
  store<u64>(target, net.opens, 176);
  store<u64>(target, net.reloads, 184);
  store<u64>(target, net.gprc, 192);
  store<u64>(target, net.gorc, 200);
  store<u64>(target, net.gptc, 208);
  store<u64>(target, net.gotc, 216);
  store<u64>(target, net.mprc, 224);
  store<u64>(target, net.interrupts, 232);
  store<u64>(target, net.disableTimeouts + net.enableTimeouts + net.hangs, 240);
  store<u64>(target, clockNs(), 248);
}
