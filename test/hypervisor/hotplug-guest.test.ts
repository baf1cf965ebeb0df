/** A guest with a bonding driver lets go of its VF, does without, and takes another one: udp-echo-bonded on a real VM. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realClock } from '../../src/hardware/clock.js';
import { PCI } from '../../src/hardware/pci/offsets.js';
import { DriverDomain } from '../../src/hypervisor/driver-domain.js';
import { VirtualMachine, type VmNet } from '../../src/hypervisor/vm.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { type Cabled, cabledNic, echoUntil, testImage, until } from './lab.js';

const IP = '10.0.0.2';
const MAC = '52:54:00:00:00:01';
const STANDBY_MAC = '52:54:00:00:00:11';

let card: Cabled;
const vms: VirtualMachine[] = [];
let lines: string[];
beforeEach(async () => {
  card = await cabledNic({ vfCount: 2 });
  lines = [];
});
afterEach(async () => {
  for (const vm of vms.splice(0)) await vm.destroy();
  await card.close();
});

async function boot(nets: readonly VmNet[] = []): Promise<VirtualMachine> {
  const vm = await VirtualMachine.create({
    name: 'bonded',
    image: await testImage('udp-echo-bonded'),
    commandLine: `ip=${IP}`,
    vfs: [{ nic: card.nic, assignment: { mac: MAC } }],
    nets,
    onEvent: (event) => {
      if (event.kind === 'console') lines.push(event.line);
    },
  });
  vms.push(vm);
  vm.start();
  await until('the VF is active', () => lines.includes('bond: the VF is active'));
  return vm;
}

test('the VF goes, comes back, and carries the traffic again, several times', async () => {
  const vm = await boot();
  await echoUntil(card.wire, IP, 20);
  const { hotplug, config } = vm.vfs[0]!.view;
  for (let round = 0; round < 3; round++) {
    await hotplug.unplug(20_000);
    expect(vm.info().vfs[0]).toMatchObject({ plugged: false, mac: MAC });
    // reset: no bus mastering, no queue
    expect(config.read32(PCI.COMMAND) & 4).toBe(0);
    const truth = new Uint8Array(vm.groundTruth[0]!);
    truth.fill(0);
    lines = [];
    await hotplug.plug();
    await until('its link is up', () => lines.includes('vf: link up'));
    const seen = await echoUntil(card.wire, IP, 20);
    expect(seen).toMatchObject({ corrupt: 0, duplicates: 0 });
    expect(truth.some((page) => page !== 0)).toBe(true);
  }
  expect(vm.vfs[0]!.faults).toEqual({ reads: 0, writes: 0 });
});

test('an empty slot is empty at the destination, until it is filled there', async () => {
  const source = await boot();
  await source.vfs[0]!.view.hotplug.unplug(20_000);
  const policy = source.vfs[0]!.view.policy.export();
  await source.pause();
  const there = await VirtualMachine.create({
    name: 'there',
    image: source.image,
    incoming: true,
    vfs: [{ nic: card.nic }],
    onEvent: (event) => {
      if (event.kind === 'console') lines.push(event.line);
    },
  });
  vms.push(there);
  const { ramBytes } = source.layout;
  new Uint8Array(there.memory.buffer, 0, ramBytes).set(new Uint8Array(source.memory.buffer, 0, ramBytes));
  there.restoreVmState(structuredClone(source.saveVmState()));
  await source.destroy();
  there.vfs[0]!.view.policy.import(policy);
  there.resume();
  expect(there.info().vfs[0]).toMatchObject({ plugged: false });
  lines = [];
  await there.vfs[0]!.view.hotplug.plug();
  await until('its link is up', () => lines.includes('vf: link up'));
  expect(there.info().vfs[0]).toMatchObject({ plugged: true, mac: MAC });
  await echoUntil(card.wire, IP, 20);
});

test('a request that is withdrawn, whenever it is, leaves the guest with its VF', async () => {
  const vm = await boot();
  const { hotplug } = vm.vfs[0]!.view;
  for (const afterMs of [0, 1, 3, 10]) {
    const gone = hotplug.unplug(20_000).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await hotplug.plug();
    await gone;
    expect(hotplug.plugged).toBe(true);
    await echoUntil(card.wire, IP, 10);
  }
});

test('a virtio NIC that stands by carries the traffic while the VF is away', async () => {
  const domain = await DriverDomain.open(card.nic);
  const vm = await boot([{ domain, mac: STANDBY_MAC }]);
  const peer = new TrafficPeer({
    wire: card.wire,
    clock: realClock,
    mac: '52:54:00:00:00:99',
    ip: '10.0.0.99',
  });
  const probe = new EchoProbe({ peer, targetIp: IP, rateHz: 500 });
  const loop = peer.run();
  const goesOn = async (over: string): Promise<void> => {
    await until(`the ${over} is active`, () => lines.includes(`bond: the ${over} is active`));
    const replies = probe.report().replies;
    await until(`replies over the ${over}`, () => probe.report().replies > replies + 50);
  };
  try {
    probe.start();
    await goesOn('VF');
    for (let round = 0; round < 3; round++) {
      const sent = vm.nets[0]!.stats.txFrames;
      lines = [];
      const { hotplug } = vm.vfs[0]!.view;
      await hotplug.unplug(20_000);
      await goesOn('standby');
      expect(vm.nets[0]!.stats.txFrames).toBeGreaterThan(sent + 50);
      await hotplug.plug();
      await goesOn('VF');
    }
    // the standby goes and comes like any function
    const standby = vm.nets[0]!.hotplug;
    probe.stop();
    await expect(standby.unplug(50)).rejects.toMatchObject({ reason: 'no-consent' });
    expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
  } finally {
    await loop.stop();
    for (const each of vms.splice(0)) await each.destroy();
    await domain.close();
  }
});
