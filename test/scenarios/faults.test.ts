/**
 * Things go wrong in every phase before commitment: the destination is killed, the link is cut, the user cancels, the
 * plugin throws or hangs. The guest goes on where it is, nothing is left behind, and the next migration succeeds.
 *
 *   reservation     answers of the destination are held back until the fault has happened
 *   pre-copy        the plugin dawdles before a harvest
 *   stop-and-copy   the plugin dawdles while it saves the device: guest stopped, device quiet
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { VmmProcess } from '../../src/cli/lab.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { SeverableLink } from './severable-link.js';
import { GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const FAULTY = 'test/scenarios/plugins/faulty';
/** Phase -> where the plugin dawdles to hold the migration there. */
const PHASES = [
  { phase: 'reservation', dawdleIn: '' },
  { phase: 'pre-copy', dawdleIn: 'beforeHarvest' },
  { phase: 'stop-and-copy', dawdleIn: 'saveDevice' },
] as const;

let shuttle: Shuttle;
let probe: EchoProbe;
let link: SeverableLink | null = null;
let before: Footprint;

beforeAll(async () => {
  shuttle = await Shuttle.open({ image: 'guest-images/udp-echo', plugins: [FAULTY] });
  probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 500 });
  probe.start();
  // both ways once: whatever a process keeps for good (thread pool, caches) it has from now on
  await shuttle.hop({ mode: 'scan' });
  await shuttle.hop({ mode: 'shadow-doorbell' });
});
afterAll(async () => {
  await link?.close();
  await shuttle?.close();
});
beforeEach(async () => {
  onTestFailed(() => void process.stderr.write(`${shuttle.logs()}\n`));
  before = await footprintOf(shuttle.here);
});
afterEach(async () => {
  await link?.close();
  link = null;
  await shuttle.recover();
});

describe.each(PHASES)('during $phase', ({ phase, dawdleIn }) => {
  test('the link is cut', async () => {
    const report = await struckIn(phase, dawdleIn, async () => link!.cut());
    await expectGuestGoesOn(report, 'failed', phase);
    await expectMigratesAgain();
  });

  test('the user cancels', async () => {
    const report = await struckIn(phase, dawdleIn, async () => {
      await shuttle.here.qmp.execute('migrate_cancel');
    });
    await expectGuestGoesOn(report, 'cancelled', phase);
    await expectMigratesAgain();
  });

  test('the destination is killed', async () => {
    const report = await struckIn(phase, dawdleIn, async () => {
      shuttle.there.child.kill('SIGKILL');
      await shuttle.there.ended;
    });
    await expectGuestGoesOn(report, 'failed', phase);
    await expectMigratesAgain();
  });
});

describe('the plugin throws', () => {
  test.each([
    ['createTracker', 'pre-copy'],
    ['start', 'pre-copy'],
    ['core', 'pre-copy'],
    ['beforeHarvest', 'pre-copy'],
    ['quiesce', 'stop-and-copy'],
    ['saveDevice', 'stop-and-copy'],
    ['restoreDevice', 'stop-and-copy'],
  ])('in %s', async (place, phase) => {
    const report = await shuttle.attempt({
      plugin: FAULTY,
      pluginOptions: { mode: 'shadow-doorbell', 'throw-in': place },
      // a core needs its turns before it throws
      ...(place === 'core' ? { maxBandwidth: 20_000_000 } : {}),
    });
    await expectGuestGoesOn(report, 'failed', phase);
    expect(report.error).toContain('as asked for');
    await expectMigratesAgain();
  });
});

describe('the plugin hangs', () => {
  test.each([
    ['start', 'pre-copy'],
    ['core', 'pre-copy'],
    ['saveDevice', 'stop-and-copy'],
  ])('in %s', async (place, phase) => {
    const report = await shuttle.attempt({
      plugin: FAULTY,
      pluginOptions: { mode: 'shadow-doorbell', 'hang-in': place },
      ...(place === 'core' ? { maxBandwidth: 20_000_000 } : {}),
    });
    await expectGuestGoesOn(report, 'failed', phase);
    expect(report.error).toContain('faulty');
    await expectMigratesAgain();
  });
});

/** Starts a migration, holds it in a phase, lets `strike` happen there. */
async function struckIn(
  phase: string,
  dawdleIn: string,
  strike: () => Promise<void>,
): Promise<MigrationReport> {
  link = await SeverableLink.open(`${shuttle.lab.folder}/link-${Math.random()}.sock`, shuttle.uri);
  link.holdAnswers = phase === 'reservation';
  let struck: Promise<void> | null = null;
  const report = await shuttle.attempt({
    plugin: FAULTY,
    pluginOptions: { mode: 'shadow-doorbell', 'dawdle-in': dawdleIn },
    uri: link.uri,
    watcher: {
      onPhase: (entered) => {
        if (entered === phase) struck ??= afterAWhile().then(strike);
      },
    },
  });
  await struck;
  return report;
}

/** Into the phase, past its first steps. */
const afterAWhile = () => new Promise<void>((resolve) => setTimeout(resolve, 200));

async function expectGuestGoesOn(
  report: MigrationReport,
  outcome: 'failed' | 'cancelled',
  phase: string,
): Promise<void> {
  expect(report, `${report.error}\n${report.notes.join('\n')}`).toMatchObject({
    outcome,
    failedDuring: phase,
  });
  await repliesGoOn(probe);
  expect(await shuttle.here.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
  await expectNothingLeft(shuttle.here, before);
  const { vm } = await shuttle.here.qmp.execute<{ vm: { build: string; vfs: { bar0: string[] }[] } }>(
    'x-srvm-query-vm',
  );
  expect(vm.build).toBe('plain');
  expect(vm.vfs[0]!.bar0).toEqual(['direct', 'direct', 'direct', 'direct']);
  expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
}

/** The process that was to have the guest has nothing of it, and can have it the next time. */
async function expectMigratesAgain(): Promise<void> {
  await shuttle.recover();
  const { vm } = await shuttle.there.qmp.execute<{ vm: unknown }>('x-srvm-query-vm');
  expect(vm).toBeNull();
  await shuttle.hop({ mode: 'scan' });
  await repliesGoOn(probe);
}

interface Footprint {
  readonly threads: readonly string[];
  readonly sockets: number;
}

async function footprintOf(vmm: VmmProcess): Promise<Footprint> {
  const threads = await shuttle.threads(vmm);
  return { threads, sockets: socketsOf(vmm.child.pid!) };
}

/** Threads and sockets end a moment after the report; what is still there later was forgotten. */
async function expectNothingLeft(vmm: VmmProcess, expected: Footprint): Promise<void> {
  await until('threads and sockets are as before', async () => {
    const now = await footprintOf(vmm);
    return now.sockets <= expected.sockets && now.threads.length <= expected.threads.length;
  }).catch(() => {});
  const now = await footprintOf(vmm);
  expect(now.threads).toEqual(expected.threads);
  expect(now.sockets).toBe(expected.sockets);
}

/** 0 where there is no /proc: then there is nothing to compare. */
function socketsOf(pid: number): number {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).filter((fd) => linkOf(`${folder}/${fd}`).startsWith('socket:')).length;
  } catch {
    return 0;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
