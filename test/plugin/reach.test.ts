/** No plugin reaches the device model or the ground truth, in any of the threads it runs in (design, rules 3 and 4). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VfBar } from '../../src/hardware/nic/vf-bar.js';
import type { Nic } from '../../src/hypervisor/nic.js';
import type { PassedThroughVf } from '../../src/hypervisor/passthrough.js';
import { openPassthrough } from '../../src/hypervisor/passthrough-core.js';
import { SvNic } from '../../src/hypervisor/sv-nic.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import type { DeviceMigrator } from '../../src/migration/device-migrator.js';
import { TestHost, type TestHostOptions } from '../../src/plugin/conformance/test-host.js';
import { createDeviceMigrator } from '../../src/plugin/create.js';
import type { DeviceContext, PluginDefinition, Tracker } from '../../src/plugin/definition.js';
import { EXIT_CONTROL_BYTES, exitFailure, openExits } from '../../src/plugin/exit-entry.js';
import { PluginMigrator } from '../../src/plugin/host.js';
import { createVifMigrator } from '../../src/plugin/vif-access.js';
import { testImage } from '../hypervisor/lab.js';
import { attachVf } from './attached-vf.js';
import { NOTHING_FOUND } from './fixtures/looking-halves.js';
import { strangersIn } from './reach.js';

const HALVES = new URL('./fixtures/looking-halves.js', import.meta.url);
let nic: Nic;
let device: PassedThroughVf;

beforeAll(async () => {
  ({ nic, device } = await attachVf(true));
});
afterAll(() => nic.close());

/** A plugin that does nothing but keep what it was handed. */
function keeper(tracker: Partial<Tracker> = {}): { definition: PluginDefinition; contexts: DeviceContext[] } {
  const contexts: DeviceContext[] = [];
  const definition: PluginDefinition = {
    name: 'keeper',
    version: '1.0.0',
    apiVersion: 1,
    createTracker(context) {
      contexts.push(context);
      return { quiesce: () => undefined, ...tracker };
    },
    saveDevice: () => ({}),
    restoreDevice(context) {
      contexts.push(context);
    },
    rollbackDevice: () => undefined,
  };
  return { definition, contexts };
}

const migratorOf = (definition: PluginDefinition, onNote?: (text: string) => void): DeviceMigrator =>
  createDeviceMigrator({
    plugin: { definition, source: 'test', path: 'test' },
    device,
    ...(onNote && { onNote }),
  });

async function fromStartToEnd(migrator: DeviceMigrator): Promise<void> {
  await migrator.start();
  await migrator.quiesce();
  await migrator.saveState();
  await migrator.stop();
}

describe('of the device model a plugin reaches nothing', () => {
  it('from what the hypervisor hands it', async () => {
    const { definition, contexts } = keeper();
    await fromStartToEnd(migratorOf(definition));
    expect(contexts).toHaveLength(1);
    expect(contexts.flatMap(strangersIn)).toEqual([]);
  });

  it('from what it is handed of a virtual interface', async () => {
    const card = await SvNic.open({ wire: 'null' });
    const mac = '52:54:00:00:00:0a';
    const vif = card.createVif({ name: 'blue', mac });
    const vm = await VirtualMachine.create({
      name: 'blue',
      image: await testImage('udp-echo-virtio'),
      commandLine: 'ip=10.0.0.2',
      nets: [{ domain: vif, mac }],
    });
    try {
      const { definition, contexts } = keeper();
      const plugin = { definition, source: 'test', path: 'test' };
      const net = vm.nets[0]!;
      const { memory } = net.domain;
      await fromStartToEnd(createVifMigrator({ plugin, net, vif, memory, ramBytes: vm.layout.ramBytes }));
      expect(contexts).toHaveLength(1);
      expect(contexts.flatMap(strangersIn)).toEqual([]);
    } finally {
      await vm.destroy();
      await card.close();
    }
  });

  it('on its core', async () => {
    const notes: string[] = [];
    const { definition } = keeper({ core: { module: HALVES } });
    await fromStartToEnd(migratorOf(definition, (text) => notes.push(text)));
    expect(notes).toEqual([NOTHING_FOUND]);
  });

  it('in its exit handler', () => {
    const control = new SharedArrayBuffer(EXIT_CONTROL_BYTES);
    const start = {
      module: String(HALVES),
      data: undefined,
      control,
      shared: new SharedArrayBuffer(64),
      dirty: new SharedArrayBuffer(4096),
      dirtyPages: 4096,
    };
    openExits(start, openPassthrough(structuredClone(device.handle)));
    expect(exitFailure(control)).toBeNull();
  });

  it.each<[string, TestHostOptions]>([
    ['a plain one', {}],
    ['with dirty bits in its IOMMU', { iommuDirtyBits: true }],
    ['whose device helps', { assist: true }],
  ])('from what the conformance kit hands it: a host, %s', async (_what, options) => {
    const host = new TestHost(options);
    const { definition, contexts } = keeper();
    const migrator = new PluginMigrator({ definition, options: {}, access: host.access });
    await fromStartToEnd(migrator);
    host.close();
    expect(contexts.flatMap(strangersIn)).toEqual([]);
  });
});

describe('a leak would be found', () => {
  it.each<[string, () => object, RegExp]>([
    ['the ground truth', () => ({ truth: new Uint8Array(device.domain.truth) }), /view\.leak\.truth\.buffer/],
    ['the IOMMU domain', () => ({ once: () => device.domain, domain: device.domain }), /leak\.domain\.truth/],
    ['the card', () => nic.vfBar(device.vf), /view\.leak is a VfBar/],
    ['what hangs on a function', () => Object.assign(() => 0, { bar: nic.vfBar(device.vf) }), /leak\.bar/],
    [
      'what an inherited getter gives',
      () =>
        new (class {
          get bar(): VfBar {
            return nic.vfBar(device.vf);
          }
        })(),
      /bar/,
    ],
    ['what a map holds', () => new Map([['bar', nic.vfBar(device.vf)]]), /get\(\) is a VfBar/],
  ])('%s', (_what, leak, says) => {
    const view = { ...new TestHost().access.parts, leak: leak() };
    expect(strangersIn(view).join('; ')).toMatch(says);
  });
});
