/** Migrations between the VMM processes of a lab, for the scenario tests. */
import { followMigration, type MigrationWatcher } from '../../src/cli/follow-migration.js';
import type { QmpClient } from '../../src/control/qmp-client.js';
import type { MigrationReport } from '../../src/migration/report.js';

/**
 * Bytes a second of a slow first round: it takes a second or so even of the smallest guests, in which packets come on any
 * machine. At full speed it is over in milliseconds, and a station that is short of a core sends nothing meanwhile.
 */
const SLOWLY = 1_000_000;

export interface ScenarioMigration {
  readonly mode?: 'scan' | 'shadow-doorbell';
  /** Folder or package; plugins/srvm without it. */
  readonly plugin?: string;
  readonly pluginOptions?: Readonly<Record<string, string>>;
  /** Where to, if not to where the destination of the scenario listens. */
  readonly uri?: string;
  /** Bytes a second; 0 = as fast as the link. */
  readonly maxBandwidth?: number;
  /** For who expects DMA while pages are sent. */
  readonly slowFirstRound?: boolean;
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
  const { slowFirstRound = false } = options;
  return followMigration(
    source,
    {
      uri,
      plugin,
      pluginOptions: { ...(mode === undefined ? {} : { mode }), ...options.pluginOptions },
      parameters: {
        'downtime-limit': downtimeLimitMs,
        'max-bandwidth': slowFirstRound ? SLOWLY : maxBandwidth,
        'x-srvm-verify': verify,
      },
    },
    slowFirstRound ? hastened(source, maxBandwidth, watcher) : watcher,
  ).then((report) => ({ ...report, status: report.outcome }));
}

/** After the first round, pages are sent at that speed. */
function hastened(source: QmpClient, maxBandwidth: number, watcher: MigrationWatcher): MigrationWatcher {
  return {
    ...watcher,
    onRound(round) {
      watcher.onRound?.(round);
      // where the migration ends meanwhile, it says so itself
      if (round.round === 1)
        source.execute('migrate-set-parameters', { 'max-bandwidth': maxBandwidth }).catch(() => {});
    },
  };
}
