/**
 * The guest's main loop: interrupts in, turns of queues, the application's own work, the driver's timers.
 *
 *   nothing to do -> wait for a line or a timer -> schedule queues -> turns until they are empty -> unmask -> wait
 *
 * An application A is an @unmanaged class with
 *   start(net)                                           once the interface is up
 *   udp / tcp(net, queue, frame, payload, bytes, port)   a datagram or segment for the guest
 *   neighbour(ip, mac)                                   an ARP answer
 *   work(net, nowNs): u64                                its own turn; returns when it wants the next one (ns, or NEVER)
 *   refreshCounters()                                    before counters are sent
 *   resetCounters()                                      the counters were set back
 *
 * Options of every image: ip, mtu, queues=1|2, rx-ring, tx-ring, hold (pages the stack keeps), tx-batch, mask=table (a queue's
 * vector is masked in the MSI-X table while it is handled, as drivers used to), and, to try trackers against rings that are
 * programmed anew, reset-every and reload-every (ms).
 */
import { clockNs, takeLines } from './machine';
import { ipOption, numberOption, optionIs } from './cmdline';
import { print, printIp, printLine } from './console';
import { close, makeNetwork, MAX_MTU, open, probe, reinitialise, remove } from './driver';
import { adjustModeration } from './moderation';
import { askWhoHas } from './net';
import { ABSENT, Network, OPEN, otherVector, PROBED, queueCauses, SUSPENDED } from './network';
import { maskVector, msixTable } from './pci';
import { pollQueue } from './poll';
import { beginOperation, endOperation } from './compsc-replay';
import { service } from './service';
import { answerPf } from './suspend';
import { after, NEVER, periodNs, waitUs } from './timers';
import { COMPSC, SUSPEND } from './variant';
import { VTEIMS, writeRegister } from './vf';

export { NEVER } from './timers';
export const RETRY_NS: u64 = 2_000_000_000;
const DEFAULT_IP: u32 = 0x0200000a;
/** Turns between two looks at the clock while queues are busy: some tens of microseconds. */
export const TURNS_PER_CLOCK: u32 = 16;

let masksTable: bool = false;
let table: u32 = 0;

function clampOption(key: string, fallback: u32, least: u32, most: u32): u32 {
  return <u32>max(<u64>least, min(<u64>most, numberOption(key, fallback)));
}

export function configure(net: Network): void {
  net.ip = ipOption('ip', DEFAULT_IP);
  net.mtu = clampOption('mtu', 1500, 68, MAX_MTU);
  net.rxCount = clampOption('rx-ring', 512, 64, 4096) & ~7;
  net.txCount = clampOption('tx-ring', 1024, 64, 4096) & ~7;
  net.txBatch = clampOption('tx-batch', 1, 1, 64);
  net.hold = clampOption('hold', 0, 0, 4096);
}

/** 0: as many as the PF gives. */
export function wantedQueues(): u32 {
  return clampOption('queues', 0, 0, 2);
}

function bringUp(net: Network): void {
  if (net.state == ABSENT && !probe(net, wantedQueues())) return;
  if (net.state == PROBED && open(net)) {
    service(net, clockNs());
    tellUp(net);
  }
}

/** To the console and to the segment. */
export function tellUp(net: Network): void {
  print('net: ');
  printIp(net.ip);
  printLine(' is up');
  askWhoHas(net, net.ip);
}

function reload(net: Network): void {
  close(net);
  remove(net);
  bringUp(net);
  net.reloads++;
}

/** Runs for ever. */
export function serve<A>(app: A): u32 {
  const net = makeNetwork();
  configure(net);
  const resetPeriod = periodNs('reset-every');
  const reloadPeriod = periodNs('reload-every');
  if (COMPSC) beginOperation(net);
  bringUp(net);
  app.start(net);
  masksTable = optionIs('mask', 'table');
  if (masksTable) table = msixTable(net.slot);
  if (COMPSC) endOperation();
  let nowNs = clockNs();
  let resetAt = after(nowNs, resetPeriod);
  let reloadAt = after(nowNs, reloadPeriod);
  let retryAt = nowNs + RETRY_NS;
  let scheduled: u32 = 0;
  let turns: u32 = 0;
  let appAt: u64 = 0;
  for (;;) {
    if (turns == 0) {
      nowNs = clockNs();
      if (COMPSC && beginOperation(net)) scheduled = queueCauses(net);
      if (net.state != OPEN) {
        if (nowNs >= retryAt) {
          bringUp(net);
          retryAt = clockNs() + RETRY_NS;
        }
      } else if (nowNs >= reloadAt) {
        reload(net);
        reloadAt = after(clockNs(), reloadPeriod);
        scheduled = 0;
      } else if (net.resetWanted || nowNs >= resetAt) {
        restart(net, net.resetWanted);
        resetAt = after(clockNs(), resetPeriod);
        scheduled = 0;
      } else if (nowNs >= net.nextServiceNs) {
        service(net, nowNs);
      }
      if (appAt <= nowNs) appAt = app.work(net, nowNs);
      if (COMPSC) endOperation();
      turns = TURNS_PER_CLOCK;
    }
    turns = scheduled == 0 ? 0 : turns - 1;
    const lines = takeLines(scheduled != 0 ? 0 : untilUs(net, min(appAt, min(resetAt, reloadAt)), retryAt, nowNs));
    if (SUSPEND && net.state == SUSPENDED) scheduled = handleSuspended(net, lines);
    if (net.state != OPEN) continue;
    if (COMPSC && beginOperation(net)) scheduled = queueCauses(net);
    scheduled = handleLines(net, scheduled, lines);
    for (let queue: u32 = 0; queue < net.queues; queue++) {
      const bit: u32 = 1 << queue;
      if ((scheduled & bit) == 0 || pollQueue<A>(net, queue, app)) continue;
      scheduled &= ~bit;
      adjustModeration(net, queue);
      if (masksTable) maskVector(net.slot, table, queue, false);
      writeRegister(net.slot, VTEIMS, bit);
    }
    if (COMPSC) endOperation();
  }
  return 0;
}

/** A hung or disowned VF keeps its rings; `reset-every` takes the interface down and up, with rings of new memory. */
function restart(net: Network, inPlace: bool): void {
  if (inPlace) {
    reinitialise(net);
    return;
  }
  close(net);
  bringUp(net);
}

/** A suspended interface waits for the PF's word. */
function handleSuspended(net: Network, lines: u32): u32 {
  const other: u32 = 1 << otherVector(net);
  if ((lines & other) == 0) return 0;
  answerPf(net);
  writeRegister(net.slot, VTEIMS, other);
  return net.state == OPEN ? queueCauses(net) : 0;
}

/** Queue vectors are scheduled; the "other" vector starts the service and is unmasked at once. */
@inline export function handleLines(net: Network, scheduled: u32, lines: u32): u32 {
  if (lines == 0) return scheduled;
  net.interrupts++;
  if (masksTable) maskQueues(net, lines);
  const other: u32 = 1 << otherVector(net);
  if ((lines & other) != 0) {
    if (SUSPEND && answerPf(net)) {
      writeRegister(net.slot, VTEIMS, other);
      return net.state == OPEN ? scheduled | (lines & (other - 1)) : 0;
    }
    net.linkQuestion = true;
    service(net, clockNs());
    writeRegister(net.slot, VTEIMS, other);
  }
  return scheduled | (lines & (other - 1));
}

function maskQueues(net: Network, lines: u32): void {
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    if ((lines & (1 << queue)) != 0) maskVector(net.slot, table, queue, true);
  }
}

/** How long to wait for a line. */
function untilUs(net: Network, timersNs: u64, retryAt: u64, nowNs: u64): u32 {
  return waitUs(min(timersNs, net.state == OPEN ? net.nextServiceNs : retryAt), nowNs);
}
