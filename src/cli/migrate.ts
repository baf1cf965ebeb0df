/** `srvm migrate VM --to ADDRESS`: moves a running VM, shows every round, prints the report. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { resolveShipped } from '../control/package-root.js';
import { followMigration } from './follow-migration.js';
import { migrationPage } from './migration-page.js';
import { migrationRecord } from './migration-record.js';
import { reportRows, roundLine } from './migration-text.js';
import { OptionError, parseSize, parseWhole } from './options.js';
import { connectVm, printJson, printTable, repeatable } from './output.js';

interface MigrateOptions {
  readonly to: string;
  readonly plugin?: string;
  readonly mode?: string;
  readonly option: readonly string[];
  readonly downtimeLimit?: string;
  readonly maxBandwidth?: string;
  readonly maxRounds?: string;
  readonly autoConverge: boolean;
  readonly verify: boolean;
  readonly json: boolean;
  readonly html?: string;
  readonly record?: string;
}

export function migrateCommand(): Command {
  return new Command('migrate')
    .description('migrate a running VM to another VMM process, or save it to a file')
    .argument('<vm>', 'name of a running VM')
    .requiredOption('--to <address>', 'tcp:HOST:PORT, unix:PATH, or file:PATH to save it')
    .option('--plugin <folder>', 'migration plugin: its folder or package name', 'plugins/srvm')
    .option('--mode <mode>', "the plugin's option `mode`; for plugins/srvm: scan or shadow-doorbell")
    .option('--option <key=value>', 'another option of the plugin (repeatable)', repeatable, [])
    .option('--downtime-limit <ms>', 'how long the guest may stand still')
    .option('--max-bandwidth <bytes/s>', 'cap on the page stream, for example 500M; 0 = none')
    .option('--max-rounds <n>', 'stop the guest after so many rounds whatever is left')
    .option(
      '--auto-converge',
      'slow the guest down when it dirties pages faster than they can be sent',
      false,
    )
    .option('--verify', 'compare every page at the destination before the guest runs there', false)
    .option('--html <file>', 'write the report as an HTML page')
    .option('--record <file>', 'write what was measured as a trace that Perfetto opens')
    .option('--json', 'print the report as JSON', false)
    .addHelpText(
      'after',
      '\nExample:\n  srvm migrate a --to tcp:127.0.0.1:4444 --plugin plugins/srvm --mode scan --downtime-limit 20 --verify',
    )
    .action(async (vm: string, options: MigrateOptions) => {
      const client = await connectVm(vm);
      const cancel = () => void client.execute('migrate_cancel').catch(() => {});
      process.once('SIGINT', cancel);
      try {
        const report = await followMigration(
          client,
          {
            uri: absoluteUri(options.to),
            ...(options.plugin === undefined
              ? {}
              : { plugin: options.plugin.includes('/') ? absolutePlugin(options.plugin) : options.plugin }),
            pluginOptions: pluginOptions(options),
            parameters: parameters(options),
          },
          { onRound: (round) => process.stderr.write(roundLine(round) + '\n') },
        );
        if (options.html !== undefined) writeFileSync(options.html, migrationPage(report, []));
        if (options.record !== undefined) {
          const { mode, plugin = 'plugins/srvm' } = options;
          const inputs = { command: process.argv.slice(2).join(' '), ...parameters(options) };
          const record = { inputs, plugin, ...(mode === undefined ? {} : { mode }) };
          writeFileSync(options.record, migrationRecord(report, record));
        }
        if (options.json) printJson(report);
        else printTable(['', ''], reportRows(report));
        if (report.outcome !== 'completed') {
          throw new OptionError(`migration ${report.outcome}${report.error ? `: ${report.error}` : ''}`);
        }
      } finally {
        process.removeListener('SIGINT', cancel);
        client.close();
      }
    });
}

/** The VMM has a working folder of its own. */
const absoluteUri = (uri: string): string =>
  uri.replace(/^(unix|file):(.+)$/, (_, scheme: string, path: string) => `${scheme}:${resolve(path)}`);
const absolutePlugin = (plugin: string): string => resolveShipped(plugin);

function parameters(options: MigrateOptions): Record<string, number | boolean> {
  const { downtimeLimit, maxBandwidth, maxRounds, autoConverge, verify } = options;
  return {
    ...(downtimeLimit === undefined
      ? {}
      : { 'downtime-limit': parseWhole(downtimeLimit, '--downtime-limit', 0, 2_000_000) }),
    ...(maxBandwidth === undefined ? {} : { 'max-bandwidth': parseSize(maxBandwidth, '--max-bandwidth') }),
    ...(maxRounds === undefined
      ? {}
      : { 'x-srvm-max-rounds': parseWhole(maxRounds, '--max-rounds', 1, 10_000) }),
    'x-srvm-auto-converge': autoConverge,
    'x-srvm-verify': verify,
  };
}

function pluginOptions({ mode, option }: MigrateOptions): Record<string, string> {
  const options: Record<string, string> = mode === undefined ? {} : { mode };
  for (const each of option) {
    const equals = each.indexOf('=');
    if (equals < 1) throw new OptionError(`--option: '${each}' is not understood; write key=value`);
    options[each.slice(0, equals)] = each.slice(equals + 1);
  }
  return options;
}
