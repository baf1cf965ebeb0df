/**
 * Starts a migration over a VMM's control socket and follows it to its end: a callback per round, then the report.
 */
import type { QmpClient } from '../control/qmp-client.js';
import type { QmpEvent } from '../control/qmp-protocol.js';
import type { VmmMigrationReport } from '../control/vmm-migration.js';
import type { RoundReport } from '../migration/report.js';

export interface MigrationOrder {
  readonly uri: string;
  readonly plugin?: string;
  readonly pluginOptions?: Readonly<Record<string, string>>;
  /** migrate-set-parameters, before it starts. */
  readonly parameters?: Readonly<Record<string, number | boolean>>;
}

export interface MigrationWatcher {
  onRound?(round: RoundReport): void;
  onPhase?(phase: string): void;
}

/** Resolves when the migration is over, however it ended. @throws QmpError when it cannot even begin. */
export async function followMigration(
  client: QmpClient,
  order: MigrationOrder,
  watcher: MigrationWatcher = {},
): Promise<VmmMigrationReport> {
  const before = client.onEvent;
  const over = new Promise<void>((resolve, reject) => {
    client.onClose = () => reject(new Error('the VMM process went away during the migration'));
    client.onEvent = (event: QmpEvent) => {
      before?.(event);
      if (event.event === 'X_SRVM_ROUND') watcher.onRound?.(event.data as unknown as RoundReport);
      else if (event.event === 'MIGRATION') watcher.onPhase?.(String(event.data?.['x-srvm-phase']));
      else if (event.event === 'X_SRVM_MIGRATION_REPORT') resolve();
    };
  });
  over.catch(() => {});
  try {
    if (order.parameters) await client.execute('migrate-set-parameters', order.parameters);
    await client.execute('migrate', {
      uri: order.uri,
      ...(order.plugin === undefined ? {} : { 'x-srvm-plugin': order.plugin }),
      ...(order.pluginOptions === undefined ? {} : { 'x-srvm-plugin-options': order.pluginOptions }),
    });
    await over;
    return await client.execute<VmmMigrationReport>('x-srvm-query-migration-report');
  } finally {
    client.onEvent = before;
    client.onClose = null;
  }
}
