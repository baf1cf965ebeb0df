/**
 * `srvm compare`: migrates the same guest under the same load by one method after another, interleaved over the runs, and
 * prints one table; with --html a page with every method's curve over the others'.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { UDP_PAYLOAD_OFFSET } from '../hardware/wire/frames.js';
import type { Offer } from '../measure/load/echo-load.js';
import { blocksOf, type MethodTrials } from './compare/figures.js';
import { findMethods, type Method } from './compare/methods.js';
import { comparisonPage } from './compare/page.js';
import { printTables, tablesOf } from './compare/text.js';
import { runTrial, type Trial } from './compare/trial.js';
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

const CRC_BYTES = 4;
/** Datagrams under way when the guest is saturated: enough to keep every core busy, and all fit into its ring. */
const WINDOW_DATAGRAMS = 128;
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
      'datagrams a second, or saturate; each of a list has migrations of its own',
      '4000,saturate',
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
  const loads = options.load.split(',').map(parseLoad);
  const runs = parseWhole(options.runs, '--runs', 1, 1000);
  const payloadBytes = parseWhole(options.frame, '--frame', 64, 1518) - CRC_BYTES - UDP_PAYLOAD_OFFSET;
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

interface Plan {
  readonly loads: readonly Offer[];
  readonly runs: number;
  readonly payloadBytes: number;
  readonly memory: string | undefined;
}

/** Every method once, then every method again: what drifts on the machine meanwhile meets them all. */
async function runAll(methods: readonly Method[], plan: Plan): Promise<MethodTrials[]> {
  const results = methods.map((method) => ({
    method,
    steady: [] as Trial[],
    saturated: [] as Trial[],
    failures: [] as string[],
  }));
  for (let run = 1; run <= plan.runs; run++) {
    for (const load of plan.loads) {
      for (const result of results) {
        const { method } = result;
        const saturates = load.kind === 'window';
        const name = `${method.name}, ${saturates ? 'saturated' : 'steady'}, run ${run} of ${plan.runs}`;
        try {
          const trial = await runTrial({
            method,
            memory: plan.memory ?? method.image.memory,
            load,
            payloadBytes: plan.payloadBytes,
            verify: saturates,
          });
          (saturates ? result.saturated : result.steady).push(trial);
          process.stderr.write(`${name}: ${outcomeText(trial)}\n`);
          if (isFailure(method, trial)) result.failures.push(`${name}: ${trial.report.error}`);
        } catch (error) {
          result.failures.push(`${name}: ${(error as Error).message}`);
          process.stderr.write(`${name}: ${(error as Error).message}\n`);
        }
      }
    }
  }
  return results;
}

/** A method that nobody tracks pages for may be refused by the verifier: that is a result. */
const isFailure = ({ claims }: Method, { report }: Trial): boolean =>
  report.outcome !== 'completed' &&
  !(!claims.tracksEveryPage && !claims.needsGuestHelp && report.verdict !== null);

function outcomeText({ report, before, during, after }: Trial): string {
  const rates = [before, during, after].map(({ perSecond }) => perSecond.toFixed(0)).join(' / ');
  const stop = report.downtimeMs === null ? '' : `, stopped ${report.downtimeMs.toFixed(1)} ms`;
  return `${report.outcome}, ${rates} replies/s before / during / after${stop}`;
}

/** @throws OptionError */
function parseLoad(text: string): Offer {
  if (text === 'saturate') return { kind: 'window', datagrams: WINDOW_DATAGRAMS };
  if (!/^\d+$/.test(text))
    throw new OptionError(`--load: '${text}' is neither a number of datagrams a second nor saturate`);
  return { kind: 'rate', perSecond: parseWhole(text, '--load', 1, MAX_PPS) };
}
