/**
 * What the hypervisor's tests stand on: the udp-echo image, a card on a cable, a station at its other end.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadImage } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { realClock } from '../../src/hardware/clock.js';
import { openWire } from '../../src/hardware/wire/open.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { Nic, type NicOptions } from '../../src/hypervisor/nic.js';
import type { VirtualMachine } from '../../src/hypervisor/vm.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { EchoProbe, type EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import { TrafficPeer } from '../../src/measure/load/traffic-peer.js';

// dist/test/hypervisor -> the repository
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const CACHE_DIR = join(tmpdir(), 'srvm-test-images');

export const echoImage = (): Promise<LoadedImage> => testImage('udp-echo');

export const testImage = (name: string): Promise<LoadedImage> =>
  loadImage(join(ROOT, `guest-images/${name}/build/${name}.wasm`), {
    ramBytes: MIN_RAM_BYTES,
    cacheDir: CACHE_DIR,
  });

export interface Cabled {
  readonly nic: Nic;
  readonly wire: Wire;
  /** Another cable, after the first was pulled. */
  plugIn(): Wire;
  close(): Promise<void>;
}

/** A card whose port is a Unix socket, and the far end of the cable. */
export async function cabledNic(options: Partial<NicOptions> = {}): Promise<Cabled> {
  const folder = mkdtempSync(join(tmpdir(), 'srvm-hv-'));
  const path = join(folder, 'port.sock');
  const nic = await Nic.open({ wire: `unix:${path},server`, ...options });
  const wire = openWire(`unix:${path}`);
  await until('the link', () => nic.linkUp);
  return {
    nic,
    wire,
    plugIn: () => openWire(`unix:${path}`),
    async close() {
      await wire.close();
      await nic.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A limit on patience, not on speed: below the runner's own, so that the failure says what did not come. */
const PATIENCE_MS = 45_000;

export async function until(what: string, done: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!done()) {
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Resolves when a guest has said that its network is up. */
export async function networkUp(vm: VirtualMachine): Promise<void> {
  let isUp = false;
  let trap: string | null = null;
  const unsubscribe = vm.subscribe((event) => {
    if (event.kind === 'console' && event.line.includes('is up')) isUp = true;
    else if (event.kind === 'state' && event.state.kind === 'trapped') trap = event.state.report.message;
  });
  try {
    await until(`the network of ${vm.name}`, () => isUp || trap !== null);
  } finally {
    unsubscribe();
  }
  if (trap !== null) throw new Error(trap);
}

/** Ids of this process's threads, as the kernel lists them: one that has ended, a moment longer than it can be waited for. */
export const threads = (): ReadonlySet<string> => new Set(readdirSync('/proc/self/task'));

/** How many there are that were not there before. A mere count would depend on those that were just ending then. */
export function threadsSince(before: ReadonlySet<string>): number {
  return [...threads()].filter((id) => !before.has(id)).length;
}

export async function threadsEndedSince(before: ReadonlySet<string>): Promise<void> {
  await until('the end of the threads that have begun since', () => threadsSince(before) === 0);
}

/** Sends echo requests until at least `replies` of them were answered. */
export async function echoUntil(wire: Wire, ip: string, replies: number): Promise<EchoProbeReport> {
  const peer = new TrafficPeer({ wire, clock: realClock, mac: '52:54:00:00:00:99', ip: '10.0.0.99' });
  const probe = new EchoProbe({ peer, targetIp: ip, rateHz: 1000 });
  const loop = peer.run();
  probe.start();
  try {
    await until(`${replies} echo replies`, () => probe.report().replies >= replies);
    probe.stop();
    // a late reply would be taken for the next probe's
    await until('the last replies', () => probe.report().pending === 0);
    return probe.report();
  } finally {
    probe.stop();
    await loop.stop();
  }
}
