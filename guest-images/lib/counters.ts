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
import { ABSENT, MAX_QUEUES, Network, rxRing, txRing } from './network';
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

/** Writes the reply's payload. Of bonded interfaces, the driver's counters are those of both. */
export function writeStats(net: Network, target: usize): void {
  memory.copy(target, counters, 128);
  memory.fill(target + 128, 0, STATS_BYTES - 128);
  addDriver(net, target);
  const partner = net.partner;
  if (partner !== null) addDriver(partner, target);
  store<u64>(target, clockNs(), 248);
}

@inline function add(at: usize, amount: u64): void {
  store<u64>(at, load<u64>(at) + amount);
}

function addDriver(net: Network, target: usize): void {
  for (let queue: u32 = 0; queue < MAX_QUEUES; queue++) {
    const rx = rxRing(net, queue);
    const tx = txRing(net, queue);
    add(target + 128, rx.packets);
    add(target + 136, rx.bytes);
    add(target + 144, tx.packets);
    add(target + 152, tx.bytes);
    add(target + 160, rx.errors);
    add(target + 168, tx.busy);
  }
  if (net.state != ABSENT) updateStatistics(net);
  add(target + 160, net.checksumErrors);
  add(target + 176, net.opens);
  add(target + 184, net.reloads);
  add(target + 192, net.gprc);
  add(target + 200, net.gorc);
  add(target + 208, net.gptc);
  add(target + 216, net.gotc);
  add(target + 224, net.mprc);
  add(target + 232, net.interrupts);
  add(target + 240, net.disableTimeouts + net.enableTimeouts + net.hangs);
}
