/**
 * Saving a VM to a file and restoring it: a migration whose link is a file. The same stream, the same engines; nobody
 * answers, and a file that is not whole is told from one that is by the stream's own end.
 *
 *   save:     engine -> sender core -> file        the VM stays where it is, stopped, and lets go of nothing but its right to run
 *   restore:  file -> receiver core -> engine      refused like any offer that does not fit
 */
import { unlink } from 'node:fs/promises';
import {
  createDestinationMigration,
  createSourceMigration,
  type DestinationSetup,
  type SourceSetup,
} from './create.js';
import type { DestinationResult } from './destination.js';
import type { MigrationReport } from './report.js';

/**
 * Saves to `path`. A file that could not be completed is removed; the guest then goes on. One that failed when it was whole
 * already is the VM from then on, and stays.
 */
export async function saveToFile(path: string, setup: Omit<SourceSetup, 'to'>): Promise<MigrationReport> {
  const report = await createSourceMigration({ ...setup, to: `file:${path}` }).run();
  const isWhole = report.outcome === 'completed' || report.recovery === 'destination-owns';
  if (!isWhole) await unlink(path).catch(() => {});
  return report;
}

/** Resolves when the guest runs here (or stands here, when it was saved standing). */
export async function restoreFromFile(
  path: string,
  setup: Omit<DestinationSetup, 'listen'>,
): Promise<DestinationResult> {
  const migration = createDestinationMigration({ ...setup, listen: `file:${path}` });
  await migration.listen();
  return migration.run();
}
