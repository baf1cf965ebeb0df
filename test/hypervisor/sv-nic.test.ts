/** A device that virtualises itself: its own cores, its management interface, guests that speak through their VIFs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ipNumber, macBytes, UDP_PAYLOAD_OFFSET, writeUdpHeaders } from '../../src/hardware/wire/frames.js';
import { openWire } from '../../src/hardware/wire/open.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { SvNic, type SvNicOptions, VifError, type VifRequest } from '../../src/hypervisor/sv-nic.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { DEFAULT_FILTERS } from '../../src/virtio/device-cores/vif-words.js';
import { echoUntil, networkUp, testImage, until } from './lab.js';

const MAC_A = '52:54:00:00:00:0a';
const MAC_B = '52:54:00:00:00:0b';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function cabledDevice(options: Partial<SvNicOptions> = {}): Promise<{ device: SvNic; wire: Wire }> {
  const folder = mkdtempSync(join(tmpdir(), 'srvm-sv-'));
  const path = join(folder, 'port.sock');
  const device = await SvNic.open({ wire: `unix:${path},server`, ...options });
  const wire = openWire(`unix:${path}`);
  open.push(async () => {
    await wire.close();
    await device.close();
    rmSync(folder, { recursive: true, force: true });
  });
  await until('the link', () => wire.linkUp);
  return { device, wire };
}

async function boot(device: SvNic, request: VifRequest, ip: string): Promise<VirtualMachine> {
  const vm = await VirtualMachine.create({
    name: ip,
    image: await testImage('udp-echo-virtio'),
    commandLine: `ip=${ip}`,
    nets: [{ domain: device.createVif(request), mac: request.mac }],
  });
  open.push(() => vm.destroy());
  const up = networkUp(vm);
  vm.start();
  await up;
  return vm;
}

/** A datagram from one guest's echo port to the other's: they send it to and fro for ever. */
function serve(wire: Wire): void {
  const frame = new Uint8Array(UDP_PAYLOAD_OFFSET + 64);
  const addresses = {
    targetMac: macBytes(MAC_A),
    sourceMac: macBytes(MAC_B),
    targetIp: ipNumber('10.0.0.2'),
    sourceIp: ipNumber('10.0.0.3'),
    targetPort: 7,
    sourcePort: 7,
  };
  writeUdpHeaders(frame, 0, addresses, 64);
  wire.transmit(frame, 0, frame.length);
  wire.flush();
}

describe.each([1, 2])('a self-virtualizing device of %i core(s)', (cores) => {
  it('serves two guests: over the wire, and one another without it', async () => {
    const { device, wire } = await cabledDevice({ cores });
    const a = await boot(device, { name: 'a', mac: MAC_A }, '10.0.0.2');
    const b = await boot(device, { name: 'b', mac: MAC_B }, '10.0.0.3');
    expect(device.listVifs().map((vif) => vif.core)).toEqual(cores === 1 ? [0, 0] : [0, 1]);
    for (const ip of ['10.0.0.2', '10.0.0.3']) {
      const report = await echoUntil(wire, ip, 100);
      expect(report).toMatchObject({ corrupt: 0, duplicates: 0 });
    }
    const wired = (await device.stats())[0]!.wire.txFrames;
    serve(wire);
    await until('a thousand frames to and fro', () => b.nets[0]!.stats.txFrames > 1000);
    // they stayed inside
    expect((await device.stats())[0]!.wire.txFrames).toBeLessThan(wired + 20);
    for (const vm of [a, b]) {
      expect(vm.nets[0]!.stats).toMatchObject({ rxNoBuffer: 0, breakdowns: 0 });
      expect(new Uint8Array(vm.groundTruth[0]!).some((page) => page !== 0)).toBe(true);
    }
  });
});

describe('the management interface', () => {
  it('creates, lists, changes and removes VIFs, and refuses what makes no sense', async () => {
    const { device } = await cabledDevice({ cores: 2 });
    device.createVif({ name: 'a', mac: MAC_A, rateMbps: 100 });
    expect(() => device.createVif({ name: 'a', mac: MAC_B })).toThrow('VIF a is there already');
    expect(() => device.createVif({ name: 'b', mac: MAC_A })).toThrow('VIF a has the address');
    expect(() => device.createVif({ name: 'b', mac: MAC_B, rateMbps: -1 })).toThrow(VifError);
    expect(() => device.createVif({ name: '../b', mac: MAC_B })).toThrow('is no name of a VIF');
    expect(device.listVifs()).toMatchObject([
      { name: 'a', mac: MAC_A, rateMbps: 100, filters: DEFAULT_FILTERS, attached: false, stats: null },
    ]);
    const filters = { ...DEFAULT_FILTERS, vlans: [7], promiscuous: true };
    expect(device.setVif('a', { rateMbps: 0, filters })).toMatchObject({ rateMbps: 0, filters });
    expect(() => device.setVif('a', { rateMbps: 5, filters: { ...filters, vlans: [5000] } })).toThrow(
      'VLAN 5000',
    );
    expect(device.vif('a').settings).toEqual({ rateMbps: 0, filters });
    const vm = await boot(device, { name: 'b', mac: MAC_B }, '10.0.0.3');
    expect(() => device.removeVif('b')).toThrow('has a guest');
    expect(device.vif('b').info()).toMatchObject({ attached: true, serving: true });
    await vm.destroy();
    device.removeVif('b');
    device.removeVif('a');
    expect(() => device.vif('a')).toThrow('there is no VIF a');
  });

  it('a device without cores, or with a wire that cannot be, is refused', async () => {
    await expect(SvNic.open({ wire: 'null', cores: 0 })).rejects.toThrow('has 1 to 8');
    await expect(SvNic.open({ wire: 'nonsense:1' })).rejects.toThrow('is no kind of wire');
  });
});
