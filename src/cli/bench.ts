/** `srvm bench [name]`: runs the benchmarks of test/bench, prints a table and, with --json, the rows. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Command, Option } from 'commander';
import type { Benchmark, BenchmarkOptions, BenchRow } from '../measure/benchmark.js';
import { OptionError } from './options.js';
import { printJson, printTable } from './output.js';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../../test/bench');
const SUFFIX = '.bench.js';

export function benchCommand(): Command {
  return new Command('bench')
    .description('run the benchmarks: ratios inside one run, medians and spread, nothing asserted')
    .argument('[name]', 'one benchmark; all of them without a name')
    .option('--trips <n>', 'linux-soak: round trips in each mode', Number)
    .addOption(
      new Option('--against <what>', 'linux: the same kernel in QEMU, in the same run').choices(['qemu']),
    )
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n  srvm bench page-transfer\n  srvm bench linux-soak --trips 20\n  srvm bench linux --against qemu',
    )
    .action(async (name: string | undefined, options: BenchmarkOptions & { json: boolean }) => {
      if (options.trips !== undefined && !(Number.isInteger(options.trips) && options.trips > 0))
        throw new OptionError('--trips must be a whole number above 0');
      if (!existsSync(folder))
        throw new OptionError(
          'the benchmarks are not in the npm package: run them in a clone of the repository',
        );
      const names = readdirSync(folder)
        .filter((file) => file.endsWith(SUFFIX))
        .map((file) => file.slice(0, -SUFFIX.length))
        .sort();
      if (name !== undefined && !names.includes(name)) {
        throw new OptionError(`no benchmark '${name}'; there are: ${names.join(', ')}`);
      }
      const results: { benchmark: string; what: string; rows: BenchRow[] }[] = [];
      for (const one of name === undefined ? names : [name]) {
        const module = (await import(pathToFileURL(join(folder, one + SUFFIX)).href)) as {
          benchmark: Benchmark;
        };
        if (!options.json) process.stdout.write(`\n${one}: ${module.benchmark.what}\n`);
        const rows = await module.benchmark.run(options);
        results.push({ benchmark: one, what: module.benchmark.what, rows });
        if (!options.json) printRows(rows);
      }
      if (options.json) printJson({ node: process.versions.node, results });
    });
}

function printRows(rows: readonly BenchRow[]): void {
  printTable(
    ['measured', 'median', 'min', 'max', 'runs', 'reach', ''],
    rows.map((row) => [
      row.what,
      short(row.median),
      short(row.min),
      short(row.max),
      row.runs,
      row.reach ?? '',
      row.reached === undefined ? '' : row.reached ? 'reached' : missedBy(row),
    ]),
  );
}

/** "missed by 12%": the distance between the median and the goal, in per cent of the goal. */
function missedBy(row: BenchRow): string {
  const goal = Number(row.reach!.slice(2));
  return `missed by ${Math.abs(((row.median - goal) / goal) * 100).toFixed(0)}%`;
}

const short = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
