/**
 * dnis on the image with a bonding driver, under UDP load between two processes: the VF is away while memory is copied, the
 * traffic goes on over the virtio NIC, another VF carries it at the destination. Whatever fails, the source has its VF back.
 */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { sleep } from '../../src/cli/lab.js';
import type { VmInfo } from '../../src/hypervisor/vm-info.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { expectClean } from './expect-clean.js';
import { GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const PLUGIN = 'plugins/dnis';
const FAULTY = 'test/scenarios/plugins/faulty-help';
const LIMIT_MS = 240_000;
/** Slow enough that something can happen in pre-copy. */
const SLOW = 2_000_000;

let shuttle: Shuttle;
let probe: EchoProbe;
beforeAll(async () => {
  shuttle = await Shuttle.open({
    image: 'guest-images/udp-echo-bonded',
    devices: ['vf', 'net'],
    plugins: [FAULTY],
  });
  probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 500, payloadBytes: 200 });
  probe.start();
  await repliesGoOn(probe);
}, LIMIT_MS);
afterAll(() => shuttle?.close());

async function guestInfo(): Promise<VmInfo> {
  return (await shuttle.here.qmp.execute<{ vm: VmInfo }>('x-srvm-query-vm')).vm;
}

/** Frames that left by the VF, and by the virtio NIC. */
async function sent(): Promise<{ vf: number; standby: number }> {
  const { nets } = await guestInfo();
  const statistics = await shuttle.vfStatistics();
  return { vf: statistics['goodPacketsSent']!, standby: nets[0]!.stats.txFrames };
}

/** The VF is in its slot and carries the traffic; the virtio NIC does not. */
async function expectVfInUse(): Promise<void> {
  await until('the VF is plugged in', async () => (await guestInfo()).vfs[0]!.plugged);
  await until('the VF carries the traffic alone', async () => {
    const before = await sent();
    await repliesGoOn(probe, 100);
    const after = await sent();
    return after.vf >= before.vf + 50 && after.standby === before.standby;
  });
}

async function hop(): Promise<MigrationReport> {
  const report = await shuttle.hop({ plugin: PLUGIN });
  await expectVfInUse();
  return report;
}

test(
  'there and back: every page equal, the VF is away meanwhile, and back afterwards',
  async () => {
    onTestFailed(() => void process.stderr.write(`${shuttle.logs()}\n`));
    await expectVfInUse();
    for (let i = 0; i < 2; i++) {
      const before = await sent();
      let during = before;
      const watcher = {
        onRound: async () => {
          during = await sent().catch(() => during);
        },
      };
      const report = await shuttle.hop({ plugin: PLUGIN, maxBandwidth: SLOW, watcher });
      expectClean(report, true);
      expect(report.tracker).toMatchObject({ plugin: 'dnis', coreCpuNs: 0 });
      expect(report.tracker!.counters['unplugMs']).toBeGreaterThan(0);
      expect(during.standby).toBeGreaterThan(before.standby);
      await expectVfInUse();
    }
    expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
  },
  LIMIT_MS,
);

test.each(['plugins/dnis', 'plugins/srvm'])(
  'a VF that the user has unplugged is away at the destination too, until it is plugged in there (%s)',
  async (plugin) => {
    onTestFailed(() => void process.stderr.write(`${shuttle.logs()}\n`));
    await shuttle.here.qmp.execute('x-srvm-unplug', { slot: 1, 'limit-ms': 30_000 });
    expectClean(await shuttle.hop({ plugin }), true);
    await repliesGoOn(probe, 100);
    expect((await guestInfo()).vfs[0]).toMatchObject({ plugged: false });
    const [bus] = await shuttle.here.qmp.execute<{ devices: { slot: number }[] }[]>('query-pci');
    expect(bus!.devices.map(({ slot }) => slot)).toEqual([0, 2]);
    await shuttle.here.qmp.execute('x-srvm-plug', { slot: 1 });
    await expectVfInUse();
  },
  LIMIT_MS,
);

describe('the source has its VF back, and can be migrated again', () => {
  const PHASES = [
    ['start', 'pre-copy'],
    ['quiesce', 'stop-and-copy'],
    ['saveDevice', 'stop-and-copy'],
    ['restoreDevice', 'stop-and-copy'],
  ] as const;
  test.each(PHASES)(
    'when %s fails',
    async (place, phase) => {
      onTestFailed(() => void process.stderr.write(`${shuttle.logs()}\n`));
      const report = await shuttle.attempt({
        plugin: FAULTY,
        pluginOptions: { method: 'dnis', 'throw-in': place },
      });
      expect(report).toMatchObject({ outcome: 'failed', failedDuring: phase });
      expect(report.error).toContain('as asked for');
      await expectVfInUse();
      await shuttle.recover();
    },
    LIMIT_MS,
  );

  test(
    'when the user cancels, and when the destination dies, in pre-copy',
    async () => {
      onTestFailed(() => void process.stderr.write(`${shuttle.logs()}\n`));
      const strikes: (() => Promise<unknown>)[] = [
        () => shuttle.here.qmp.execute('migrate_cancel'),
        async () => shuttle.there.child.kill('SIGKILL'),
      ];
      for (const strike of strikes) {
        const attempt = shuttle.attempt({ plugin: PLUGIN, maxBandwidth: SLOW / 4 });
        await until('the VF is away', async () => !(await guestInfo()).vfs[0]!.plugged);
        await sleep(50);
        await strike();
        expect(await attempt).toMatchObject({ failedDuring: 'pre-copy' });
        await expectVfInUse();
        await shuttle.recover();
      }
      expectClean(await hop(), true);
    },
    LIMIT_MS,
  );

  test(
    'when nobody answers at the destination: it was never taken away',
    async () => {
      const { exits } = await guestInfo();
      const report = await shuttle.attempt({ plugin: PLUGIN, uri: `unix:${shuttle.lab.folder}/nobody.sock` });
      expect(report).toMatchObject({ outcome: 'failed', failedDuring: 'reservation' });
      await expectVfInUse();
      // not even asked
      expect((await guestInfo()).exits.configWrite).toBe(exits.configWrite);
    },
    LIMIT_MS,
  );
});
