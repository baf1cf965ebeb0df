/** `srvm stats VM`: counters of its cores and VFs. */
import type { Command } from 'commander';
import { printJson, printTable, vmCommand } from './output.js';

type Counters = Readonly<Record<string, unknown>>;

export const statsCommand = (): Command =>
  vmCommand(
    'stats',
    "show the counters of a VM's cores and VFs",
    'srvm stats a --json',
    async (client, { json }) => {
      const stats = await client.execute<Record<string, unknown>>('x-srvm-query-stats');
      if (json) printJson(stats);
      else printTable(['counter', 'value'], flatten('', stats));
    },
  );

/** Nested counters as `a.b.c` rows. */
function flatten(prefix: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[prefix, String(value)]];
  return Object.entries(value as Counters).flatMap(([key, inner]) =>
    flatten(prefix ? `${prefix}.${key}` : key, inner),
  );
}
