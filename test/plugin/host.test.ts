/** The host: whatever a plugin does, the migration engine gets an answer or a named error, and the VM its device back. */
import { afterEach, describe, expect, it } from 'vitest';
import { TestHost } from '../../src/plugin/conformance/test-host.js';
import type { PluginDefinition, Tracker } from '../../src/plugin/definition.js';
import {
  DeviceStateError,
  PluginFailure,
  PluginOrderError,
  PluginRequirementError,
  PluginTimeout,
} from '../../src/plugin/errors.js';
import { PluginMigrator } from '../../src/plugin/host.js';

const hosts: TestHost[] = [];
afterEach(() => {
  for (const host of hosts.splice(0)) host.close();
});

const NEVER = new Promise<never>(() => undefined);

function migratorOf(
  methods: Partial<PluginDefinition>,
  tracker: Partial<Tracker> = {},
): { migrator: PluginMigrator; calls: string[]; host: TestHost } {
  const calls: string[] = [];
  const host = new TestHost();
  hosts.push(host);
  const definition: PluginDefinition = {
    name: 'probe',
    version: '1.0.0',
    apiVersion: 1,
    createTracker: () => ({ quiesce: () => undefined, ...tracker }),
    saveDevice: () => ({ hello: 1 }),
    restoreDevice: () => undefined,
    rollbackDevice: () => {
      calls.push('rollback');
    },
    ...methods,
  };
  const migrator = new PluginMigrator({
    definition,
    options: {},
    access: host.access,
    limits: { callMs: 50, startMs: 2000, turnMs: 200, stopMs: 200 },
  });
  return { migrator, calls, host };
}

const into = (): Uint8Array => new Uint8Array(16 * 256);

describe('the plugin host', () => {
  it('refuses a host without what the plugin requires, before it is asked for anything', async () => {
    const { migrator } = migratorOf({ requires: ['iommu-dirty-bits'] });
    expect(() => migrator.prepare()).toThrow(PluginRequirementError);
    expect(() => migrator.prepare()).toThrow(/start the VM's process with --iommu dirty-bits=on/);
    await expect(migrator.start()).rejects.toThrow(PluginRequirementError);
    await migrator.stop();
  });

  it('takes a whole migration through its calls in order', async () => {
    const order: string[] = [];
    const note = (what: string) => () => {
      order.push(what);
    };
    const { migrator } = migratorOf(
      {
        saveDevice: () => {
          order.push('save');
          return { a: 1 };
        },
      },
      { start: note('start'), beforeHarvest: note('harvest'), quiesce: note('quiesce'), stop: note('stop') },
    );
    await migrator.start();
    await migrator.harvest(into());
    await migrator.quiesce();
    await migrator.harvest(into());
    const state = await migrator.saveState();
    await migrator.stop();
    expect(order).toEqual(['start', 'harvest', 'quiesce', 'harvest', 'save', 'stop']);
    let restored: unknown;
    const there = migratorOf({
      restoreDevice: (_context, fields) => {
        restored = fields;
      },
    });
    await there.migrator.restoreState(state);
    expect(restored).toEqual({ a: 1 });
    await there.migrator.announce();
  });

  it('brings marks over, once each, and notes with them', async () => {
    const { migrator } = migratorOf({
      createTracker: (context) => ({
        quiesce: () => undefined,
        beforeHarvest: () => {
          context.dirty.mark(3);
          context.dirty.markRange(8192, 4097);
          context.dirty.mark(1 << 30);
          context.note('three pages');
        },
      }),
    });
    await migrator.start();
    const pages = into();
    expect(await migrator.harvest(pages)).toEqual({ pages: 2, notes: ['three pages'] });
    expect([...pages.keys()].filter((page) => pages[page] !== 0)).toEqual([2, 3]);
    const report = await migrator.stop();
    expect(report).toMatchObject({ plugin: 'probe', pagesMarked: 2, coreCpuNs: 0, notes: ['three pages'] });
  });

  const boom = () => {
    throw new Error('boom');
  };
  it.each([
    ['createTracker', migratorOf.bind(null, { createTracker: boom })],
    ['start', migratorOf.bind(null, {}, { start: boom })],
  ])('%s throws: start fails, the device is rolled back', async (what, make) => {
    const { migrator } = make();
    await expect(migrator.start()).rejects.toThrow(PluginFailure);
    await expect(make().migrator.start()).rejects.toThrow(`plugin probe: ${what} failed: boom`);
    await migrator.rollback();
    await migrator.stop();
  });

  it.each([
    ['createTracker', { createTracker: () => NEVER }, {}],
    ['start', {}, { start: () => NEVER }],
  ])('%s hangs: start fails in time', async (what, methods, tracker) => {
    const { migrator } = migratorOf(methods as Partial<PluginDefinition>, tracker);
    await expect(migrator.start()).rejects.toThrow(PluginTimeout);
    await migrator.rollback();
    expect((await migrator.stop()).plugin).toBe('probe');
    expect(what).toBeTruthy();
  });

  it('quiesce, harvest and save fail by name; rollback is called once and stop never throws', async () => {
    const { migrator, calls } = migratorOf({ saveDevice: boom }, { beforeHarvest: boom, stop: boom });
    await migrator.start();
    await expect(migrator.harvest(into())).rejects.toThrow(/beforeHarvest failed: boom/);
    await migrator.quiesce();
    await expect(migrator.saveState()).rejects.toThrow(/saveDevice failed: boom/);
    await migrator.rollback();
    await migrator.rollback();
    expect(calls).toEqual(['rollback']);
    const report = await migrator.stop();
    expect(report.notes.join(' ')).toMatch(/stop failed: boom/);
    expect(await migrator.stop()).toBe(report);
    await migrator.rollback();
  });

  it.each([
    ['throws', boom, PluginFailure],
    ['hangs', () => NEVER, PluginTimeout],
  ])(
    'announce %s: the network learns of the guest all the same, and the failure is told',
    async (_how, announce, error) => {
      const { migrator, host } = migratorOf({ announce });
      const { migrator: source } = migratorOf({});
      await source.start();
      await source.quiesce();
      await migrator.restoreState(await source.saveState());
      await expect(migrator.announce()).rejects.toThrow(error);
      expect(host.announcements).toBe(1);
    },
  );

  it('refuses calls out of order', async () => {
    const { migrator } = migratorOf({});
    await expect(migrator.harvest(into())).rejects.toThrow(PluginOrderError);
    await expect(migrator.saveState()).rejects.toThrow(/not possible when it is idle/);
    await migrator.start();
    await expect(migrator.start()).rejects.toThrow(PluginOrderError);
    await expect(migrator.saveState()).rejects.toThrow(PluginOrderError);
    await expect(migrator.restoreState(new Uint8Array(3))).rejects.toThrow(PluginOrderError);
    await migrator.stop();
    await expect(migrator.quiesce()).rejects.toThrow(/stopped/);
  });

  it('refuses hostile state before the plugin sees it', async () => {
    let asked = false;
    const { migrator } = migratorOf({
      restoreDevice: () => {
        asked = true;
      },
    });
    await expect(migrator.restoreState(Uint8Array.of(0x9a, 255, 255, 255, 255))).rejects.toThrow(
      DeviceStateError,
    );
    expect(asked).toBe(false);
  });

  it('a method that returns unencodable state fails the migration', async () => {
    const { migrator } = migratorOf({ saveDevice: () => ({ bad: (() => 1) as never }) });
    await migrator.start();
    await migrator.quiesce();
    await expect(migrator.saveState()).rejects.toThrow(DeviceStateError);
  });
});
