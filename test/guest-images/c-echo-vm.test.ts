/** The C image on the real machine: its own vCPU thread, a NIC worker, both builds. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { loadImage } from '../../src/guest/load-image.js';
import { realClock } from '../../src/hardware/clock.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { type Cabled, cabledNic, networkUp, until } from '../hypervisor/lab.js';

const COMPONENT = fileURLToPath(new URL('../../../guest-images/c-echo/build/c-echo.wasm', import.meta.url));
const CACHE_DIR = join(tmpdir(), 'srvm-test-images');

let cabled: Cabled | null = null;
let vm: VirtualMachine | null = null;
let loop: { stop(): Promise<void> } | null = null;
afterEach(async () => {
  await loop?.stop();
  await vm?.destroy();
  await cabled?.close();
});

test('c-echo answers on the real machine, through a pause and in both builds', async () => {
  cabled = await cabledNic();
  vm = await VirtualMachine.create({
    name: 'c-echo',
    image: await loadImage(COMPONENT, { ramBytes: MIN_RAM_BYTES, cacheDir: CACHE_DIR }),
    commandLine: 'ip=10.0.0.2',
    vfs: [{ nic: cabled.nic, assignment: { mac: '52:54:00:00:00:01' } }],
  });
  const up = networkUp(vm);
  vm.start();
  await up;
  // one probe all the way: an answer that a pause held back is still its own
  const peer = new TrafficPeer({
    wire: cabled.wire,
    clock: realClock,
    mac: '52:54:00:00:00:99',
    ip: '10.0.0.99',
  });
  const probe = new EchoProbe({
    peer,
    targetIp: '10.0.0.2',
    rateHz: 2000,
    payloadBytes: 1400,
    timeoutMs: 60_000,
  });
  loop = peer.run();
  probe.start();
  await until('answers', () => probe.report().replies >= 300);
  await vm.pause();
  vm.resume();
  await vm.setDirtyLogging(true);
  expect(vm.info().build).toBe('logging');
  const before = probe.report().replies;
  await until('answers of the logging build', () => probe.report().replies >= before + 300);
  // headers are rewritten in place by the vCPU, and the receive ring by every refill
  expect(vm.openDirtyLog().harvest(new Uint8Array(vm.layout.ramPages))).toBeGreaterThan(100);
  await vm.setDirtyLogging(false);
  probe.stop();
  await until('the last answers', () => probe.report().pending === 0);
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0, lost: 0 });
  expect(vm.info().vfs[0]).toMatchObject({ linkUp: true, dmaFaults: { reads: 0, writes: 0 } });
});
