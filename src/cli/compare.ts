/**
 * `srvm compare`: migrates the same guest under the same load by one method after another, interleaved over the runs, and
 * prints one table; with --html a page with every method's curve over the others'.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Offer } from '../measure/load/echo-load.js';
import { blocksOf } from './compare/figures.js';
import { findMethods } from './compare/methods.js';
import { comparisonPage } from './compare/page.js';
import { payloadOf, runAll, SATURATE } from './compare/run-all.js';
import { printTables, tablesOf } from './compare/text.js';
import { OptionError, parseWhole } from './options.js';
import { printJson } from './output.js';

interface CompareOptions {
  readonly methods: string;
  readonly image: string;
  readonly memory?: string;
  readonly load: string;
  readonly frame: string;
  readonly runs: string;
  readonly json?: string;
  readonly html?: string;
}

const MAX_PPS = 1_000_000;

export function compareCommand(): Command {
  return new Command('compare')
    .description('migrate the same guest by several methods, under the same load, and compare them')
    .option(
      '--methods <list>',
      'methods, PLUGIN or PLUGIN:MODE, virtio (a paravirtual NIC, no plugin), or all',
      'all',
    )
    .option(
      '--image <folder>',
      "the guest; a method's own variant of it is IMAGE-VARIANT",
      'guest-images/udp-echo',
    )
    .option('--memory <size>', "guest RAM (the image's default)")
    .option(
      '--load <loads>',
      'a rate in datagrams a second, saturate, or both: each has migrations of its own',
      '10000,saturate',
    )
    .option('--frame <bytes>', 'size of a frame on the wire', '1518')
    .option('--runs <n>', 'migrations of each method under each load', '3')
    .option('--json <file>', 'write everything that was measured; - for the standard output')
    .option('--html <file>', 'write a page with the curves of throughput and latency')
    .addHelpText(
      'after',
      '\nExample:\n  srvm compare --methods srvm:scan,srvm:shadow-doorbell,none --html compare.html',
    )
    .action(runCompare);
}

async function runCompare(options: CompareOptions): Promise<void> {
  const loads = parseLoads(options.load);
  const runs = parseWhole(options.runs, '--runs', 1, 1000);
  const payloadBytes = payloadOf(parseWhole(options.frame, '--frame', 64, 1518));
  const methods = await findMethods(options.methods, options.image);
  const trials = await runAll(methods, { loads, runs, payloadBytes, memory: options.memory });
  const payloadBits = payloadBytes * 8;
  const blocks = blocksOf(trials, payloadBits);
  const tables = tablesOf(trials, blocks);
  const data = { node: process.versions.node, options, blocks, methods: trials };
  if (options.json === '-') printJson(data);
  else printTables(tables);
  for (const failure of trials.flatMap((each) => each.failures)) process.stderr.write(`FAILED: ${failure}\n`);
  if (options.json !== undefined && options.json !== '-') writeFileSync(options.json, JSON.stringify(data));
  if (options.html !== undefined) {
    const file = resolve(options.html);
    const subtitle = `${options.image}, frames of ${options.frame} bytes, load ${options.load}; medians of ${runs} runs`;
    const page = {
      title: 'Migration methods compared',
      subtitle,
      tables,
      methods: trials,
      payloadBits,
      data: { blocks },
    };
    writeFileSync(file, comparisonPage(page));
    process.stderr.write(`the comparison as a page: ${file}\n`);
  }
  if (trials.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

/** @throws OptionError */
function parseLoads(text: string): Offer[] {
  const loads = text.split(',').map(parseLoad);
  // their figures stand in blocks of their own, and there is one of each
  if (new Set(loads.map(({ kind }) => kind)).size < loads.length)
    throw new OptionError(
      `--load: '${text}' has two of one kind; a rate and saturate can stand side by side`,
    );
  return loads;
}

/** @throws OptionError */
function parseLoad(text: string): Offer {
  if (text === 'saturate') return SATURATE;
  if (!/^\d+$/.test(text))
    throw new OptionError(`--load: '${text}' is neither a number of datagrams a second nor saturate`);
  return { kind: 'rate', perSecond: parseWhole(text, '--load', 1, MAX_PPS) };
}
