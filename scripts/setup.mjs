// Makes a fresh clone ready: installs packages, compiles TypeScript, builds guest images. Each step is skipped when
// it has nothing to do, so that the everyday cost is a second. Needs only Node and npm.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function run(command, args, what) {
  const started = Date.now();
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.error || done.status !== 0) {
    console.error(
      `srvm: ${what} failed${done.error ? `: ${done.error.message}` : ` (exit status ${done.status})`}`,
    );
    process.exit(1);
  }
  console.error(`srvm: ${what}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`srvm: Node ${process.versions.node} is too old: 20.19 or newer is needed`);
  process.exit(1);
}

/** npm writes this file last: it stands for "the lock file's packages are installed". */
const installed = join(root, 'node_modules/.package-lock.json');
if (
  !existsSync(installed) ||
  statSync(installed).mtimeMs < statSync(join(root, 'package-lock.json')).mtimeMs
) {
  // not 'npm ci': it refuses a lock file in which other platforms' optional packages, never published, are missing
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund'], 'npm install');
}
const tsc = JSON.parse(readFileSync(join(root, 'node_modules/typescript/package.json'), 'utf8')).bin.tsc;
run(
  process.execPath,
  [join(root, 'node_modules/typescript', tsc), '-p', join(root, 'tsconfig.json')],
  'compile',
);
run(process.execPath, [join(root, 'scripts/bundle-workers.mjs')], 'one file of each worker');
run(process.execPath, [join(root, 'scripts/build-rv64-core.mjs')], 'riscv64 core');
run(process.execPath, [join(root, 'guest-images/build.mjs')], 'guest images');
