// Builds every guest image whose sources changed: guest-images/NAME/build/NAME.wasm, a component of the world in wit/.
//
//   node guest-images/build.mjs [--force] [NAME...]
//
// Images are built side by side in worker threads (build-image.mjs), since the compilers run in one thread each. What is
// up to date is told by a hash over sources, tools and this script, kept beside the component.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const folder = dirname(fileURLToPath(import.meta.url));
const TOOLS = ['assemblyscript', '@yowasp/clang', '@bytecodealliance/jco-transpile'];
// each compiler takes some 300 MB
const MOST_WORKERS = 4;

class BuildError extends Error {
  name = 'BuildError';
}

/** All files below a folder, in a fixed order, without what a build leaves. */
function filesBelow(path) {
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const at = join(path, entry.name);
      if (entry.isDirectory()) return entry.name === 'build' ? [] : filesBelow(at);
      return [at];
    });
}

function toolVersions() {
  return TOOLS.map((name) => {
    const file = join(dirname(folder), 'node_modules', name, 'package.json');
    if (!existsSync(file))
      throw new BuildError(`the package ${name} is not installed: run 'npm run setup' first`);
    return `${name}@${JSON.parse(readFileSync(file, 'utf8')).version}`;
  });
}

/** An image that is built here; another kind has a builder of its own. */
function isComponent(manifest) {
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).kind === undefined;
}

/** The image in a folder, with all that its build depends on. */
function readImage(name, shared) {
  const manifest = JSON.parse(readFileSync(join(folder, name, 'image.json'), 'utf8'));
  for (const key of ['name', 'component']) {
    if (typeof manifest[key] !== 'string')
      throw new BuildError(`${name}/image.json: '${key}' must be a string`);
  }
  const hash = createHash('sha256');
  for (const version of shared.tools) hash.update(version + '\n');
  for (const file of [...shared.files, ...filesBelow(join(folder, name))]) {
    hash
      .update(`${relative(folder, file)}\n`)
      .update(readFileSync(file))
      .update('\n');
  }
  const component = join(folder, name, manifest.component);
  return { name, sources: join(folder, name), component, key: hash.digest('hex') };
}

function isUpToDate(image) {
  const keyFile = `${image.component}.key`;
  return existsSync(image.component) && existsSync(keyFile) && readFileSync(keyFile, 'utf8') === image.key;
}

function build(image) {
  return new Promise((resolve, reject) => {
    const workerData = { ...image, folder };
    const worker = new Worker(new URL('./build-image.mjs', import.meta.url), { workerData });
    worker.once('message', resolve);
    worker.once('error', (cause) => reject(new BuildError(`${image.name}: ${cause.message}`, { cause })));
  });
}

async function buildAll(images) {
  const waiting = [...images];
  const failures = [];
  const takeTurns = async () => {
    for (let image = waiting.shift(); image !== undefined; image = waiting.shift()) {
      try {
        const { coreBytes, ms } = await build(image);
        console.error(`guest-images: ${image.name}: ${coreBytes} bytes of code, ${(ms / 1000).toFixed(1)} s`);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), MOST_WORKERS) }, takeTurns));
  return failures;
}

async function main() {
  const options = process.argv.slice(2);
  const wanted = options.filter((option) => !option.startsWith('--'));
  const names = readdirSync(folder).filter((name) => isComponent(join(folder, name, 'image.json')));
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new BuildError(`no image ${unknown.join(', ')}; there are ${names.join(', ')}`);
  const shared = {
    tools: toolVersions(),
    files: [
      join(folder, 'build.mjs'),
      join(folder, 'build-image.mjs'),
      join(folder, 'build-c.mjs'),
      ...filesBelow(join(folder, 'wit')),
      ...filesBelow(join(folder, 'lib')),
    ],
  };
  const images = (wanted.length > 0 ? wanted : names).map((name) => readImage(name, shared));
  const stale = options.includes('--force') ? images : images.filter((image) => !isUpToDate(image));
  return buildAll(stale);
}

try {
  const failures = await main();
  for (const failure of failures) console.error(`guest-images: ${failure.message}`);
  if (failures.length > 0) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`guest-images: ${error.message}`);
  process.exitCode = 1;
}
