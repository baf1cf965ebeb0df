/**
 * What commands print: tables for people, JSON for programs, numbers with their units.
 */
import Table from 'cli-table3';
import { Command } from 'commander';
import { QmpClient } from '../control/qmp-client.js';
import { controlSocketOf } from '../control/runtime-dir.js';

export function printJson(value: unknown): void {
  process.stdout.write(JSON.stringify(value, null, 2) + '\n');
}

/** A table without box drawing: pastes well into mails and issues. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const none = '';
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: none,
    },
  });
  for (const row of rows) table.push(row.map(String));
  process.stdout.write(table.toString() + '\n');
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function formatMs(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
}

/** A subcommand that talks to a running VM: `srvm NAME VM [--json]`. */
export function vmCommand(
  name: string,
  description: string,
  example: string,
  action: (client: QmpClient, options: { json: boolean }) => Promise<void>,
): Command {
  return new Command(name)
    .description(description)
    .argument('<vm>', 'name of a running VM')
    .option('--json', 'print JSON', false)
    .addHelpText('after', `\nExample:\n  ${example}`)
    .action(async (vm: string, options: { json: boolean }) => {
      const client = await connectVm(vm);
      try {
        await action(client, options);
      } finally {
        client.close();
      }
    });
}

/** @throws QmpConnectError with one clear line when no VM of that name runs. */
export async function connectVm(name: string): Promise<QmpClient> {
  return await QmpClient.connect(controlSocketOf(name));
}

/** Collects a repeatable option. */
export const repeatable = (value: string, previous: readonly string[]): string[] => [...previous, value];
