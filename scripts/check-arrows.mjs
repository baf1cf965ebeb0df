// The import rules of the design, as a lint: which room may import from which. Reads the imports as text.
//
//   cli -> control -> migration, plugin, measure -> hypervisor -> machine, guest -> hardware
//
// A plugin imports from 'srvm/plugin' and npm only, and not from Node, by whose worker_threads its core would reach what its
// thread was started with; hardware imports nothing else in src.
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Each room and the rooms below it that it may import from (its own is always allowed). */
const MAY_IMPORT = {
  hardware: [],
  guest: ['hardware', 'machine'],
  machine: ['hardware', 'guest'],
  virtio: ['hardware', 'machine'],
  hypervisor: ['hardware', 'guest', 'machine', 'rv64', 'virtio'],
  measure: ['hardware', 'guest', 'machine', 'hypervisor'],
  migration: ['hardware', 'guest', 'machine', 'hypervisor', 'measure'],
  plugin: ['hardware', 'guest', 'machine', 'hypervisor', 'measure', 'migration'],
  simulation: ['hardware', 'guest', 'machine', 'hypervisor', 'measure', 'migration', 'plugin', 'control'],
  rv64: ['hardware', 'machine'],
  control: ['hardware', 'guest', 'machine', 'hypervisor', 'measure', 'migration', 'plugin', 'rv64'],
  cli: [
    'hardware',
    'guest',
    'machine',
    'hypervisor',
    'measure',
    'migration',
    'plugin',
    'simulation',
    'rv64',
    'control',
  ],
};

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)\s*import\s*'([^']+)'/g;
const problems = [];

function checkSource(path) {
  const room = relative(join(root, 'src'), path).split(sep)[0];
  if (room === 'index.ts') return;
  const allowed = MAY_IMPORT[room];
  if (!allowed) {
    problems.push(`${relative(root, path)}: src/${room} is no room of the design`);
    return;
  }
  for (const match of readFileSync(path, 'utf8').matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? match[3];
    if (!target.startsWith('.')) continue;
    const to = relative(join(root, 'src'), resolve(dirname(path), target));
    const toRoom = to.split(sep)[0];
    if (toRoom === room || allowed.includes(toRoom)) continue;
    problems.push(`${relative(root, path)}: ${room} may not import ${target}`);
  }
}

function checkPlugin(path) {
  const home = join(root, 'plugins', relative(join(root, 'plugins'), path).split(sep)[0]);
  for (const match of readFileSync(path, 'utf8').matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? match[3];
    const inside = target.startsWith('.') && !relative(home, resolve(dirname(path), target)).startsWith('..');
    const outsider = target.startsWith('.')
      ? !inside
      : isBuiltin(target) || (/^srvm(\/|$)/.test(target) && target !== 'srvm/plugin');
    if (outsider) problems.push(`${relative(root, path)}: a plugin may not import ${target}`);
  }
}

for (const path of sources(join(root, 'src'))) checkSource(path);
for (const path of sources(join(root, 'plugins'))) checkPlugin(path);

if (problems.length > 0) {
  for (const problem of problems) console.error(problem);
  console.error(`${problems.length} import(s) go against the design's arrows`);
  process.exit(1);
}
console.log('arrows: every import goes the way the design says');
