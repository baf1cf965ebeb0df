// Runs the same seeds here and under the newest Node (npm fetches it as a package) and compares the hashes of their event
// logs: a seed must be the same run on every version. `npm run determinism [-- SEEDS]`.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const seeds = Number(process.argv[2] ?? 60);

/** In the child: a line per seed. */
async function printHashes() {
  const { simulate, FAULT_KINDS } = await import(join(root, 'dist/src/simulation/world/simulate.js'));
  for (let seed = 1; seed <= seeds; seed++) {
    const { outcome, events, logHash } = await simulate({ seed, faults: FAULT_KINDS });
    console.log(`seed ${seed}: ${outcome}, ${events} events, ${logHash}`);
  }
}

function hashesUnder(what, command, args) {
  const started = Date.now();
  const run = spawnSync(command, [...args, self, String(seeds), 'print'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (run.error || run.status !== 0) {
    console.error(`srvm: ${what} did not run the seeds${run.error ? `: ${run.error.message}` : ''}`);
    process.exit(1);
  }
  console.log(`${what}: ${seeds} seeds in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return run.stdout.trim().split('\n');
}

function compare() {
  const newest = ['exec', '--yes', `--package=node-${process.platform}-${process.arch}@latest`, '--', 'node'];
  const version = spawnSync('npm', [...newest, '--version'], { cwd: root, encoding: 'utf8' }).stdout?.trim();
  if (!version) {
    console.error(
      `srvm: npm has no Node package for ${process.platform}-${process.arch}, or cannot be reached`,
    );
    process.exit(1);
  }
  const here = hashesUnder(`Node ${process.version}`, process.execPath, []);
  const there = hashesUnder(`Node ${version}`, 'npm', newest);
  const differing = here.filter((line, i) => line !== there[i]);
  for (const line of differing) console.log(`differs: ${line}   there: ${there[here.indexOf(line)]}`);
  console.log(`${here.length - differing.length} of ${here.length} seeds gave the same events on both`);
  process.exit(differing.length === 0 ? 0 : 1);
}

if (process.argv[3] === 'print') await printHashes();
else compare();
