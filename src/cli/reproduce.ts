/** `srvm reproduce PAPER`: a paper's headline experiment, the published figure beside the measured one. */
import { Argument, Command } from 'commander';
import type { Spread } from './compare/figures.js';
import { parseWhole } from './options.js';
import { printJson, printTable } from './output.js';
import { experiment } from './reproduce/experiments.js';
import { PAPER_NAMES, PAPERS, type PaperName } from './reproduce/papers.js';

export function reproduceCommand(): Command {
  return new Command('reproduce')
    .description("run a paper's headline experiment and print its figures beside the published ones")
    .addArgument(new Argument('<paper>', 'which one').choices(PAPER_NAMES))
    .option('--runs <n>', 'how often', '3')
    .option('--json', 'print JSON', false)
    .addHelpText('after', '\nExample:\n  srvm reproduce srvm --runs 5')
    .action(async (name: PaperName, options: { runs: string; json: boolean }) => {
      const runs = parseWhole(options.runs, '--runs', 1, 1000);
      const paper = PAPERS[name];
      const { findings, failures } = await experiment(name, runs);
      if (options.json) {
        printJson({ node: process.versions.node, paper: name, ...paper, runs, findings, failures });
      } else {
        process.stdout.write(`\n${paper.title}\n${paper.source}\n\n`);
        printTable(
          ['', 'published', 'measured'],
          findings.map(({ what, published, unit, measured }) => [
            what,
            published,
            spreadText(measured, unit),
          ]),
        );
        process.stdout.write(`\nMedians of ${runs} runs, the spread in brackets. What differs:\n`);
        for (const sentence of paper.differs) process.stdout.write(`  - ${sentence}\n`);
      }
      for (const failure of failures) process.stderr.write(`FAILED: ${failure}\n`);
      if (failures.length > 0) process.exitCode = 1;
    });
}

function spreadText(spread: Spread | null, unit: string): string {
  if (spread === null) return 'not measured';
  const { median, min, max, runs } = spread;
  const range = runs > 1 ? ` (${short(min)} to ${short(max)})` : '';
  return `${short(median)} ${unit}${range}`.replace('  ', ' ');
}

const short = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
