/** A guest with a bonding driver lets go of its VF, does without, and takes another one: udp-echo-bonded on a real VM. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realClock } from '../../src/hardware/clock.js';
import { PCI } from '../../src/hardware/pci/offsets.js';
import { DriverDomain } from '../../src/hypervisor/driver-domain.js';
import { VirtualMachine, type VmOptions } from '../../src/hypervisor/vm.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { type Cabled, cabledNic, testImage, until } from './lab.js';

const IP = '10.0.0.2';
const MAC = '52:54:00:00:00:01';
const STANDBY_MAC = '52:54:00:00:00:11';
/** On a machine with much else to do: it only turns a hang into a failure. */
const PATIENCE_MS = 60_000;

let card: Cabled;
let domain: DriverDomain | null;
let lines: string[];
/** One for the whole test: a late reply would look wrong to the next one. */
let probe: EchoProbe;
let loop: { stop(): Promise<void> };
const vms: VirtualMachine[] = [];

beforeEach(async () => {
  card = await cabledNic({ vfCount: 2 });
  domain = null;
  lines = [];
  const peer = new TrafficPeer({
    wire: card.wire,
    clock: realClock,
    mac: '52:54:00:00:00:99',
    ip: '10.0.0.99',
  });
  probe = new EchoProbe({ peer, targetIp: IP, rateHz: 500 });
  loop = peer.run();
  probe.start();
});
afterEach(async () => {
  await loop.stop();
  for (const vm of vms.splice(0)) await vm.destroy();
  await domain?.close();
  await card.close();
});

async function create(options: Partial<VmOptions> = {}): Promise<VirtualMachine> {
  const vm = await VirtualMachine.create({
    name: 'bonded',
    image: await testImage('udp-echo-bonded'),
    commandLine: `ip=${IP}`,
    vfs: [{ nic: card.nic, assignment: { mac: MAC } }],
    onEvent: (event) => {
      if (event.kind === 'console') lines.push(event.line);
    },
    ...options,
  });
  vms.push(vm);
  return vm;
}

/** Said since `lines` was emptied last, and then replies come. */
async function answersOver(over: 'VF' | 'standby'): Promise<void> {
  await until(`the ${over} is active`, () => lines.includes(`bond: the ${over} is active`), PATIENCE_MS);
  await answers(over);
}

async function answers(over = 'VF'): Promise<void> {
  const { replies } = probe.report();
  await until(`replies over the ${over}`, () => probe.report().replies > replies + 50, PATIENCE_MS);
}

test('the VF goes, comes back, and carries the traffic again, several times', async () => {
  const vm = await create();
  vm.start();
  await answersOver('VF');
  const { hotplug, config } = vm.vfs[0]!.view;
  for (let round = 0; round < 3; round++) {
    await hotplug.unplug(PATIENCE_MS);
    expect(vm.info().vfs[0]).toMatchObject({ plugged: false, mac: MAC });
    // reset: no bus mastering, no queue
    expect(config.read32(PCI.COMMAND) & 4).toBe(0);
    const truth = new Uint8Array(vm.groundTruth[0]!);
    truth.fill(0);
    lines = [];
    await hotplug.plug();
    await answersOver('VF');
    expect(truth.some((page) => page !== 0)).toBe(true);
  }
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
  expect(vm.vfs[0]!.faults).toEqual({ reads: 0, writes: 0 });
});

test('an empty slot is empty at the destination, until it is filled there', async () => {
  const source = await create();
  source.start();
  await answersOver('VF');
  await source.vfs[0]!.view.hotplug.unplug(PATIENCE_MS);
  const policy = source.vfs[0]!.view.policy.export();
  await source.pause();
  const there = await create({ image: source.image, incoming: true, vfs: [{ nic: card.nic }] });
  const { ramBytes } = source.layout;
  new Uint8Array(there.memory.buffer, 0, ramBytes).set(new Uint8Array(source.memory.buffer, 0, ramBytes));
  there.restoreVmState(structuredClone(source.saveVmState()));
  await source.destroy();
  there.vfs[0]!.view.policy.import(policy);
  there.resume();
  expect(there.info().vfs[0]).toMatchObject({ plugged: false });
  lines = [];
  await there.vfs[0]!.view.hotplug.plug();
  await answersOver('VF');
  expect(there.info().vfs[0]).toMatchObject({ plugged: true, mac: MAC });
});

test('a request that is withdrawn, whenever it is, leaves the guest with its VF', async () => {
  const vm = await create();
  vm.start();
  await answersOver('VF');
  const { hotplug } = vm.vfs[0]!.view;
  for (const afterMs of [0, 1, 3, 10]) {
    const gone = hotplug.unplug(PATIENCE_MS).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await hotplug.plug();
    await gone;
    expect(hotplug.plugged).toBe(true);
    await answers();
  }
});

test('a virtio NIC that stands by carries the traffic while the VF is away', async () => {
  domain = await DriverDomain.open(card.nic);
  const vm = await create({ nets: [{ domain, mac: STANDBY_MAC }] });
  vm.start();
  await answersOver('VF');
  for (let round = 0; round < 3; round++) {
    const sent = vm.nets[0]!.stats.txFrames;
    lines = [];
    const { hotplug } = vm.vfs[0]!.view;
    await hotplug.unplug(PATIENCE_MS);
    await answersOver('standby');
    expect(vm.nets[0]!.stats.txFrames).toBeGreaterThan(sent + 50);
    await hotplug.plug();
    await answersOver('VF');
  }
  // the bond's driver lets go of the VF only
  await expect(vm.nets[0]!.hotplug.unplug(50)).rejects.toMatchObject({ reason: 'no-consent' });
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
});
