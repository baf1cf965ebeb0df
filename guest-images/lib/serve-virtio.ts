/**
 * The main loop of a guest whose interface is paravirtual: serve.ts over a virtio network device. The same applications and
 * the same options, but `queues` and `hold`.
 */
import { numberOption } from './cmdline';
import { print, printIp, printLine } from './console';
import { clockNs, FOREVER_US, takeLines } from './machine';
import { askWhoHas } from './net';
import { Network, OPEN, PROBED } from './network';
import { configure, NEVER, RETRY_NS, TURNS_PER_CLOCK } from './serve';
import {
  closeVirtio,
  makeVirtioNetwork,
  openVirtio,
  pollVirtio,
  probeVirtio,
  restVirtio,
  serviceVirtio,
  VIRTIO_CONFIG_LINE,
  VIRTIO_LINE,
} from './virtio-net';

function bringUp(net: Network): void {
  if (net.state != PROBED && !probeVirtio(net)) return;
  if (!openVirtio(net)) return;
  net.tx0.batch = net.txBatch;
  print('net: ');
  printIp(net.ip);
  printLine(' is up');
  askWhoHas(net, net.ip);
}

/** The rings stay where they are. */
function restart(net: Network): void {
  closeVirtio(net);
  net.resetWanted = false;
  bringUp(net);
}

/** Runs for ever. */
export function serveVirtio<A>(app: A): u32 {
  const net = makeVirtioNetwork();
  configure(net);
  const resetMs = numberOption('reset-every', 0);
  const resetPeriod: u64 = resetMs == 0 ? NEVER : resetMs * 1_000_000;
  bringUp(net);
  app.start(net);
  let nowNs = clockNs();
  let retryAt = nowNs + RETRY_NS;
  let resetAt = resetPeriod == NEVER ? NEVER : nowNs + resetPeriod;
  let scheduled = false;
  let turns: u32 = 0;
  let appAt: u64 = 0;
  for (;;) {
    if (turns == 0) {
      nowNs = clockNs();
      if (net.state != OPEN) {
        if (nowNs >= retryAt) {
          bringUp(net);
          retryAt = clockNs() + RETRY_NS;
        }
      } else if (net.resetWanted || nowNs >= resetAt) {
        restart(net);
        resetAt = resetPeriod == NEVER ? NEVER : clockNs() + resetPeriod;
        scheduled = false;
      }
      if (appAt <= nowNs) appAt = app.work(net, nowNs);
      turns = TURNS_PER_CLOCK;
    }
    turns = scheduled ? turns - 1 : 0;
    const dueNs = min(appAt, net.state == OPEN ? resetAt : retryAt);
    const lines = takeLines(scheduled ? 0 : untilUs(dueNs, nowNs));
    if (net.state != OPEN) continue;
    if (lines != 0) net.interrupts++;
    if ((lines & (1 << VIRTIO_CONFIG_LINE)) != 0) serviceVirtio(net);
    if ((lines & (1 << VIRTIO_LINE)) != 0) scheduled = true;
    if (scheduled && !pollVirtio<A>(net, app)) scheduled = restVirtio(net);
  }
  return 0;
}

function untilUs(dueNs: u64, nowNs: u64): u32 {
  if (dueNs == NEVER) return FOREVER_US;
  return dueNs <= nowNs ? 0 : <u32>min((dueNs - nowNs + 999) / 1000, <u64>(FOREVER_US - 1));
}
