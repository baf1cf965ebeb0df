import { describe, expect, it } from 'vitest';
import { blocksOf, guestText, type MethodTrials, spreadOf } from '../../src/cli/compare/figures.js';
import { findMethods, type Method } from '../../src/cli/compare/methods.js';
import { comparisonPage } from '../../src/cli/compare/page.js';
import { tablesOf } from '../../src/cli/compare/text.js';
import { runTrial } from '../../src/cli/compare/trial.js';

const ECHO = 'guest-images/udp-echo';

describe('methods', () => {
  it('are found by folder and mode, each with the image and the devices that it needs', async () => {
    const found = await findMethods('srvm:scan,none,dnis,iommu-dirty,virtio', ECHO);
    expect(
      found.map(({ name, plugin, options, devices, iommuDirtyBits }) => ({
        name,
        plugin,
        options,
        devices,
        iommuDirtyBits,
      })),
    ).toEqual([
      {
        name: 'srvm:scan',
        plugin: 'plugins/srvm',
        options: { mode: 'scan' },
        devices: ['vf'],
        iommuDirtyBits: false,
      },
      { name: 'none', plugin: 'plugins/none', options: {}, devices: ['vf'], iommuDirtyBits: false },
      { name: 'dnis', plugin: 'plugins/dnis', options: {}, devices: ['vf', 'net'], iommuDirtyBits: false },
      {
        name: 'iommu-dirty',
        plugin: 'plugins/iommu-dirty',
        options: {},
        devices: ['vf'],
        iommuDirtyBits: true,
      },
      { name: 'virtio', plugin: null, options: {}, devices: ['net'], iommuDirtyBits: false },
    ]);
    expect(found.map(({ image }) => image.name)).toEqual([
      'udp-echo',
      'udp-echo',
      'udp-echo-bonded',
      'udp-echo',
      'udp-echo-virtio',
    ]);
    expect(found.map(guestText)).toEqual([
      'unmodified',
      'unmodified',
      'own driver (udp-echo-bonded)',
      'unmodified',
      'paravirtual NIC (udp-echo-virtio)',
    ]);
  });

  it('that are not there are refused with what there is', async () => {
    await expect(findMethods('srvm:fast', ECHO)).rejects.toThrow(
      "no mode 'fast'; there are: scan, shadow-doorbell",
    );
    await expect(findMethods('none:fast', ECHO)).rejects.toThrow('it has no modes');
    await expect(findMethods('nothing-like-it', ECHO)).rejects.toThrow('nothing-like-it');
    await expect(findMethods('dnis', 'guest-images/kv-store')).rejects.toThrow(
      'guest-images/kv-store-bonded',
    );
  });

  it('are all that ship, in each of their modes', async () => {
    const names = (await findMethods('all', ECHO)).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['none', 'srvm:scan', 'srvm:shadow-doorbell', 'virtio']));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('figures', () => {
  it('are medians with their spread, of those runs that have them', () => {
    expect(spreadOf([3, null, 1, 2])).toEqual({ median: 2, min: 1, max: 3, runs: 3 });
    expect(spreadOf([4, 1])).toEqual({ median: 2.5, min: 1, max: 4, runs: 2 });
    expect(spreadOf([null])).toBeNull();
  });
});

describe('a trial', () => {
  it('migrates the guest under load, and its figures fill every block', async () => {
    const [method] = (await findMethods('srvm:shadow-doorbell', ECHO)) as [Method];
    const trial = await runTrial({
      method,
      memory: '16M',
      load: { kind: 'rate', perSecond: 500 },
      payloadBytes: 200,
      verify: true,
      run: 1,
    });
    expect(trial.report).toMatchObject({ outcome: 'completed', verdict: { pagesDiffering: 0 } });
    expect(trial.load).toMatchObject({ corrupt: 0, duplicates: 0 });
    expect(trial.load.sent).toBeGreaterThan(trial.load.lost);
    for (const core of ['vcpu', 'nic', 'sender', 'receiver', 'tracker', 'main']) {
      expect(trial.cpuDuring).toHaveProperty(core);
    }
    const all: MethodTrials[] = [{ method, steady: [trial], saturated: [], failures: [] }];
    const blocks = blocksOf(all, 1600);
    const named = blocks.flatMap(({ methods }) => methods[0]!).map(({ name }) => name);
    expect(named).toEqual(
      expect.arrayContaining(['during/before %', 'whole migration', 'downtime, engine', 'missed', 'tracker']),
    );
    expect(blocks.find(({ title }) => title.startsWith('pages'))!.methods[0]).toEqual(
      expect.arrayContaining([
        { name: 'missed', spread: { median: 0, min: 0, max: 0, runs: 1 } },
        { name: 'wrong at the destination', spread: { median: 0, min: 0, max: 0, runs: 1 } },
      ]),
    );
    expect(blocks.map(({ title }) => title)).toContain('throughput, Gb/s of payload, at the steady rate');
    const tables = tablesOf(all, blocks);
    expect(tables[0]!.rows[0]).toEqual(['srvm:shadow-doorbell', 'unmodified', '1 of 1', '-']);
    for (const { head, rows } of tables) for (const row of rows) expect(row).toHaveLength(head.length);
    const page = comparisonPage({
      title: 't',
      subtitle: 's',
      tables,
      methods: all,
      payloadBits: 1600,
      data: {},
    });
    expect(page).toContain('Latency at the steady rate');
    expect(page).not.toContain('Throughput, saturated');
  }, 240_000);
});
