/** The extra core in its own thread: alive only while tracking, accounted, and no danger when it breaks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Nic } from '../../src/hypervisor/nic.js';
import type { PassedThroughVf } from '../../src/hypervisor/passthrough.js';
import type { DeviceMigrator } from '../../src/migration/device-migrator.js';
import { createDeviceMigrator } from '../../src/plugin/create.js';
import type { PluginDefinition } from '../../src/plugin/definition.js';
import type { HostLimits } from '../../src/plugin/host.js';
import { threads, threadsEndedSince, threadsSince } from '../hypervisor/lab.js';
import { attachVf } from './attached-vf.js';
import type { Oddity } from './fixtures/odd-core.js';

const RAM_BYTES = 16 * 1024 * 1024;
let nic: Nic;
let device: PassedThroughVf;

beforeAll(async () => {
  ({ nic, device } = await attachVf(false));
});
afterAll(() => nic.close());

/** A machine with much else to do may keep a core from its turn for longer than a test would like to wait. */
const PATIENT = { turnMs: 20_000, stopMs: 20_000, callMs: 20_000, startMs: 20_000 };

function migratorWith(
  oddity: Oddity,
  limits: HostLimits = PATIENT,
): { migrator: DeviceMigrator; rolledBack: () => number } {
  let rolledBack = 0;
  const definition: PluginDefinition = {
    name: 'odd',
    version: '1.0.0',
    apiVersion: 1,
    createTracker: () => ({
      core: { module: new URL('./fixtures/odd-core.js', import.meta.url), data: oddity },
      quiesce: (core) => core!.turn(),
    }),
    saveDevice: () => ({}),
    restoreDevice: () => undefined,
    rollbackDevice: () => {
      rolledBack++;
    },
  };
  const migrator = createDeviceMigrator({
    plugin: { definition, source: 'test', path: 'test' },
    device,
    limits,
  });
  return { migrator, rolledBack: () => rolledBack };
}

const into = (): Uint8Array => new Uint8Array(RAM_BYTES / 4096);

describe('a core thread', () => {
  it('lives from start to stop, marks, notes, counts, and is accounted', async () => {
    const before = threads();
    const { migrator } = migratorWith('none');
    await migrator.start();
    expect(threadsSince(before)).toBe(1);
    const pages = into();
    const { notes } = await migrator.harvest(pages);
    expect(pages[7]).toBe(1);
    expect(notes).toEqual([`RAM of ${RAM_BYTES} bytes, VFSTATUS true`]);
    await migrator.quiesce();
    const report = await migrator.stop();
    await threadsEndedSince(before);
    expect(report.counters['steps']).toBeGreaterThanOrEqual(3);
    expect(report.counters['turns']).toBe(report.counters['steps']);
    expect(report.coreAliveNs).toBeGreaterThan(0);
    expect(report.coreCpuNs).toBeGreaterThan(0);
    expect(report.coreCpuNs).toBeGreaterThanOrEqual(report.counters['coreLoopCpuNs']!);
  });

  it('that is prepared is loaded, and makes its core only when it is started', async () => {
    const { migrator } = migratorWith('throws at creation');
    migrator.prepare!();
    await expect(migrator.start()).rejects.toThrow(/plugin odd: its core threw: no core today/);
    await migrator.stop();
    const other = migratorWith('none').migrator;
    other.prepare!();
    await other.start();
    const pages = into();
    await other.harvest(pages);
    expect(pages[7]).toBe(1);
    await other.stop();
  });

  it.each([0, 1, 50])('that was prepared, and is called off after %i ms, leaves nothing', async (afterMs) => {
    const before = threads();
    const { migrator, rolledBack } = migratorWith('throws at creation');
    migrator.prepare!();
    if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
    await migrator.rollback();
    const report = await migrator.stop();
    expect(report.notes).toEqual([]);
    expect(rolledBack()).toBe(0);
    await threadsEndedSince(before);
  });

  it('that cannot be created fails the start and leaves no thread', async () => {
    const before = threads();
    const { migrator, rolledBack } = migratorWith('throws at creation');
    await expect(migrator.start()).rejects.toThrow(/plugin odd: its core threw: no core today/);
    await migrator.rollback();
    await migrator.stop();
    expect(rolledBack()).toBe(1);
    await threadsEndedSince(before);
  });

  it('that throws fails what needs it next', async () => {
    const before = threads();
    const { migrator, rolledBack } = migratorWith('throws in step');
    // on a busy machine the core's third step may come before start() has had its turn
    const migrate = async (): Promise<void> => {
      await migrator.start();
      for (let i = 0; i < 5; i++) await migrator.harvest(into());
    };
    await expect(migrate()).rejects.toThrow(/its core threw: step broke/);
    await migrator.rollback();
    const report = await migrator.stop();
    expect(rolledBack()).toBe(1);
    expect(report.counters['steps']).toBe(3);
    await threadsEndedSince(before);
  });

  it('that hangs is killed', async () => {
    const before = threads();
    const { migrator, rolledBack } = migratorWith('hangs in step', {
      ...PATIENT,
      turnMs: 300,
      stopMs: 300,
    });
    // on a busy machine the core's third step may come before start() has had its turn
    const migrate = async (): Promise<void> => {
      await migrator.start();
      for (let i = 0; i < 5; i++) await migrator.harvest(into());
    };
    await expect(migrate()).rejects.toThrow(/a turn of its core took longer than 300 ms/);
    await migrator.rollback();
    const report = await migrator.stop();
    expect(rolledBack()).toBe(1);
    expect(report.notes.join(' ')).toMatch(/was killed: its cost is unknown/);
    await threadsEndedSince(before);
  });

  it('that throws at its end has been heard by then', async () => {
    const { migrator } = migratorWith('throws in finish');
    await migrator.start();
    await migrator.harvest(into());
    const report = await migrator.stop();
    expect(report.counters['steps']).toBeGreaterThan(0);
  });
});
