// Builds one guest image in a thread of its own:
//
//   AssemblyScript (main.ts), or C (build-c.mjs) -> core module -> embed the world -> component
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const WORLD = 'guest';
// no runtime, no allocator, no traps by assertion: a guest manages its memory as a kernel does
const ASC_OPTIONS = ['-O3', '--runtime', 'stub', '--use', 'abort=', '--noAssert', '--noColors'];

/** A driver variant is a constant of its own; its lock needs atomic instructions (on memory that is not yet shared). */
function driverOptions(sources) {
  const { driver } = JSON.parse(readFileSync(join(sources, 'image.json'), 'utf8'));
  return driver === undefined ? [] : ['--use', `DRIVER_${driver.toUpperCase()}=1`, '--enable', 'threads'];
}

async function compileAssemblyScript(source, folder) {
  const { default: asc } = await import('assemblyscript/asc');
  let wasm = null;
  let log = '';
  const sink = { write: (text) => (log += text) };
  const { error } = await asc.main(
    [relative(folder, source), '-o', 'guest.wasm', ...ASC_OPTIONS, ...driverOptions(dirname(source))],
    {
      stdout: sink,
      stderr: sink,
      readFile: (name, base) => {
        try {
          return readFileSync(join(folder, base === '.' ? '' : base, name), 'utf8');
        } catch {
          return null;
        }
      },
      listFiles: () => [],
      writeFile: (_name, contents) => (wasm = contents),
    },
  );
  if (error || wasm === null) throw new Error(`AssemblyScript refused it:\n${log || error?.message}`);
  return wasm;
}

async function compile(sources, folder) {
  const main = join(sources, 'main.ts');
  if (existsSync(main)) return compileAssemblyScript(main, folder);
  const { compileC } = await import('./build-c.mjs');
  return compileC(sources);
}

async function main({ folder, sources, component, key }) {
  const startedMs = performance.now();
  const core = await compile(sources, folder);
  const witSource = readFileSync(join(folder, 'wit/guest.wit'), 'utf8');
  const embedded = await componentEmbed({ binary: core, witSource, world: WORLD, stringEncoding: 'utf8' });
  const bytes = await componentNew(embedded, []);
  mkdirSync(dirname(component), { recursive: true });
  // the core by itself is what tests run without a component runtime
  writeFileSync(join(dirname(component), `${basename(component, '.wasm')}.core.wasm`), core);
  writeFileSync(component, bytes);
  writeFileSync(`${component}.key`, key);
  parentPort.postMessage({ coreBytes: core.length, ms: performance.now() - startedMs });
}

await main(workerData);
