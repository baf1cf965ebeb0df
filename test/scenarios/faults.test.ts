/**
 * Things go wrong in every phase before commitment: the destination is killed, the link is cut, the user cancels. The
 * guest goes on where it is, nothing is left behind, and the next migration succeeds.
 *
 *   reservation     answers of the destination are held back until the fault has happened
 *   pre-copy        the plugin dawdles before a harvest
 *   stop-and-copy   the plugin dawdles while it saves the device: guest stopped, device quiet
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, onTestFailed, test } from 'vitest';
import { sleep } from '../../src/cli/lab.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { FAULTY, FaultScene } from './fault-scene.js';
import { SeverableLink } from './severable-link.js';
import { until } from './shuttle.js';

/** Phase -> where the plugin dawdles to hold the migration there. */
const PHASES = [
  { phase: 'reservation', dawdleIn: '' },
  { phase: 'pre-copy', dawdleIn: 'beforeHarvest' },
  { phase: 'stop-and-copy', dawdleIn: 'saveDevice' },
] as const;

let scene: FaultScene;
let link: SeverableLink | null = null;

beforeAll(async () => {
  scene = await FaultScene.open();
});
afterAll(() => scene?.close());
beforeEach(async () => {
  onTestFailed(() => void process.stderr.write(`${scene.shuttle.logs()}\n`));
  await scene.begin();
});
afterEach(async () => {
  await link?.close();
  link = null;
  await scene.shuttle.recover();
});

describe.each(PHASES)('during $phase', ({ phase, dawdleIn }) => {
  test('the link is cut', async () => {
    const report = await struckIn(phase, dawdleIn, async () => link!.cut());
    await scene.expectGuestGoesOn(report, 'failed', phase);
    await scene.expectMigratesAgain();
  });

  test('the user cancels', async () => {
    const report = await struckIn(phase, dawdleIn, async () => {
      await scene.shuttle.here.qmp.execute('migrate_cancel');
    });
    await scene.expectGuestGoesOn(report, 'cancelled', phase);
    await scene.expectMigratesAgain();
  });

  test('the destination is killed', async () => {
    const report = await struckIn(phase, dawdleIn, async () => {
      scene.shuttle.there.child.kill('SIGKILL');
      await scene.shuttle.there.ended;
    });
    await scene.expectGuestGoesOn(report, 'failed', phase);
    await scene.expectMigratesAgain();
  });
});

/** Starts a migration, holds it in a phase, lets `strike` happen there. */
async function struckIn(
  phase: string,
  dawdleIn: string,
  strike: () => Promise<void>,
): Promise<MigrationReport> {
  link = await SeverableLink.open(
    `${scene.shuttle.lab.folder}/link-${Math.random()}.sock`,
    scene.shuttle.uri,
  );
  link.holdAnswers = phase === 'reservation';
  let struck: Promise<void> | null = null;
  const report = await scene.shuttle.attempt({
    plugin: FAULTY,
    pluginOptions: { mode: 'shadow-doorbell', 'dawdle-in': dawdleIn },
    uri: link.uri,
    watcher: {
      onPhase: (entered) => {
        if (entered === phase) struck ??= inTheMidst().then(strike);
      },
    },
  });
  await struck;
  return report;
}

/** The link is in use, and the phase past its first steps. */
async function inTheMidst(): Promise<void> {
  await until('the source has said something', () => link!.bytesSent > 0);
  await sleep(200);
}
