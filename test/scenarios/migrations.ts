/** Migrations between the VMM processes of a lab, for the scenario tests. */
import { followMigration, type MigrationWatcher } from '../../src/cli/follow-migration.js';
import type { QmpClient } from '../../src/control/qmp-client.js';
import type { MigrationReport } from '../../src/migration/report.js';

export interface ScenarioMigration {
  readonly mode?: 'scan' | 'shadow-doorbell';
  /** Folder or package; plugins/srvm without it. */
  readonly plugin?: string;
  readonly pluginOptions?: Readonly<Record<string, string>>;
  /** Where to, if not to where the destination of the scenario listens. */
  readonly uri?: string;
  /** Bytes a second; 0 = as fast as the link. */
  readonly maxBandwidth?: number;
  readonly watcher?: MigrationWatcher;
  readonly verify?: boolean;
  readonly downtimeLimitMs?: number;
}

export function migrateAndWait(
  source: QmpClient,
  uri: string,
  options: ScenarioMigration = {},
  watcher: MigrationWatcher = options.watcher ?? {},
): Promise<MigrationReport & { readonly status: string }> {
  const { mode, plugin = 'plugins/srvm', verify = true, downtimeLimitMs = 100, maxBandwidth = 0 } = options;
  return followMigration(
    source,
    {
      uri,
      plugin,
      pluginOptions: { ...(mode === undefined ? {} : { mode }), ...options.pluginOptions },
      parameters: {
        'downtime-limit': downtimeLimitMs,
        'max-bandwidth': maxBandwidth,
        'x-srvm-verify': verify,
      },
    },
    watcher,
  ).then((report) => ({ ...report, status: report.outcome }));
}
