/** Migrations between the VMM processes of a lab, for the scenario tests. */
import { followMigration, type MigrationWatcher } from '../../src/cli/follow-migration.js';
import type { QmpClient } from '../../src/control/qmp-client.js';
import type { MigrationReport } from '../../src/migration/report.js';

export interface ScenarioMigration {
  readonly mode?: 'scan' | 'shadow-doorbell';
  /** Folder or package; plugins/srvm without it. */
  readonly plugin?: string;
  readonly verify?: boolean;
  readonly downtimeLimitMs?: number;
}

export function migrateAndWait(
  source: QmpClient,
  uri: string,
  options: ScenarioMigration = {},
  watcher: MigrationWatcher = {},
): Promise<MigrationReport & { readonly status: string }> {
  const { mode, plugin = 'plugins/srvm', verify = true, downtimeLimitMs = 100 } = options;
  return followMigration(
    source,
    {
      uri,
      plugin,
      pluginOptions: mode === undefined ? {} : { mode },
      parameters: { 'downtime-limit': downtimeLimitMs, 'x-srvm-verify': verify },
    },
    watcher,
  ).then((report) => ({ ...report, status: report.outcome }));
}
