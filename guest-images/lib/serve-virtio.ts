/**
 * The main loop of a guest whose interface is paravirtual: serve.ts over a virtio network device. The same applications and
 * the same options, but `queues` and `hold`.
 */
import { clockNs, takeLines } from './machine';
import { Network, OPEN, PROBED } from './network';
import { configure, RETRY_NS, tellUp, TURNS_PER_CLOCK } from './serve';
import { after, periodNs, waitUs } from './timers';
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
  tellUp(net);
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
  const resetPeriod = periodNs('reset-every');
  bringUp(net);
  app.start(net);
  let nowNs = clockNs();
  let retryAt = nowNs + RETRY_NS;
  let resetAt = after(nowNs, resetPeriod);
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
        resetAt = after(clockNs(), resetPeriod);
        scheduled = false;
      }
      if (appAt <= nowNs) appAt = app.work(net, nowNs);
      turns = TURNS_PER_CLOCK;
    }
    turns = scheduled ? turns - 1 : 0;
    const dueNs = min(appAt, net.state == OPEN ? resetAt : retryAt);
    const lines = takeLines(scheduled ? 0 : waitUs(dueNs, nowNs));
    if (net.state != OPEN) continue;
    if (lines != 0) net.interrupts++;
    if ((lines & (1 << VIRTIO_CONFIG_LINE)) != 0) serviceVirtio(net);
    if ((lines & (1 << VIRTIO_LINE)) != 0) scheduled = true;
    if (scheduled && !pollVirtio<A>(net, app)) scheduled = restVirtio(net);
  }
  return 0;
}
