/** Guests with a paravirtual NIC: booted, on the wire, and speaking to one another through the driver domain alone. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { loadImage } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { ipNumber, macBytes, UDP_PAYLOAD_OFFSET, writeUdpHeaders } from '../../src/hardware/wire/frames.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { DriverDomain } from '../../src/hypervisor/driver-domain.js';
import type { ParavirtualNet } from '../../src/hypervisor/paravirtual-net.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { CACHE_DIR, type Cabled, cabledNic, echoUntil, networkUp, until } from './lab.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const MAC_A = '52:54:00:00:00:0a';
const MAC_B = '52:54:00:00:00:0b';

const virtioEcho = (): Promise<LoadedImage> =>
  loadImage(join(ROOT, 'guest-images/udp-echo-virtio/build/udp-echo-virtio.wasm'), {
    ramBytes: MIN_RAM_BYTES,
    cacheDir: CACHE_DIR,
  });

/** A datagram from one guest's echo port to the other's: they send it to and fro for ever. */
function serve(wire: Wire): void {
  const frame = new Uint8Array(UDP_PAYLOAD_OFFSET + 64);
  writeUdpHeaders(
    frame,
    0,
    {
      targetMac: macBytes(MAC_A),
      sourceMac: macBytes(MAC_B),
      targetIp: ipNumber('10.0.0.2'),
      sourceIp: ipNumber('10.0.0.3'),
      targetPort: 7,
      sourcePort: 7,
    },
    64,
  );
  wire.transmit(frame, 0, frame.length);
  wire.flush();
}

describe('a virtual machine with a paravirtual NIC', () => {
  const open: { destroy?(): Promise<void>; close?(): Promise<void> }[] = [];
  const keep = <T extends { destroy?(): Promise<void>; close?(): Promise<void> }>(thing: T): T => {
    open.push(thing);
    return thing;
  };
  afterEach(async () => {
    for (const thing of open.reverse()) await (thing.destroy?.() ?? thing.close?.());
    open.length = 0;
  });

  async function host(): Promise<{ cabled: Cabled; domain: DriverDomain }> {
    const cabled = keep(await cabledNic());
    return { cabled, domain: keep(await DriverDomain.open(cabled.nic)) };
  }

  async function boot(domain: DriverDomain, mac: string, ip: string): Promise<VirtualMachine> {
    const vm = keep(
      await VirtualMachine.create({
        name: ip,
        image: await virtioEcho(),
        commandLine: `ip=${ip}`,
        nets: [{ domain, mac }],
      }),
    );
    const up = networkUp(vm);
    vm.start();
    await up;
    return vm;
  }

  it('answers over the wire, each of its accesses an exit', async () => {
    const { cabled, domain } = await host();
    const vm = await boot(domain, MAC_A, '10.0.0.2');
    const report = await echoUntil(cabled.wire, '10.0.0.2', 100);
    expect(report.corrupt).toBe(0);
    expect(report.duplicates).toBe(0);
    // it gives its last buffers back after it has answered
    await vm.pause();
    const net = vm.nets[0] as ParavirtualNet;
    expect(net.stats.rxFrames).toBeGreaterThanOrEqual(100);
    expect(net.stats.txFrames).toBeGreaterThanOrEqual(100);
    expect(net.stats.breakdowns).toBe(0);
    expect(vm.info().nets[0]).toMatchObject({ slot: 1, mac: MAC_A });
    const { exits } = vm.info();
    expect(exits.paravirtualNotify).toBe(net.stats.notifications);
    expect(exits.paravirtualNotify).toBeGreaterThan(0);
    expect(exits.paravirtualWrite).toBeGreaterThan(20);
    expect(exits.paravirtualRead).toBeGreaterThan(5);
    expect(new Uint8Array(vm.groundTruth[0]!).some((page) => page !== 0)).toBe(true);
    const stats = await domain.stats();
    expect(stats.frames).toBeGreaterThanOrEqual(200);
    expect(Object.values(stats.devices)).toEqual([net.stats]);
  });

  it('speaks to another guest of its host without the wire', async () => {
    const { cabled, domain } = await host();
    const a = await boot(domain, MAC_A, '10.0.0.2');
    const b = await boot(domain, MAC_B, '10.0.0.3');
    serve(cabled.wire);
    await until('a thousand frames to and fro', () => b.nets[0]!.stats.txFrames > 1000);
    expect(a.nets[0]!.stats.rxNoBuffer + b.nets[0]!.stats.rxNoBuffer).toBe(0);
  });
});
