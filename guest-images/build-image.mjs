// Builds one guest image in a thread of its own:
//
//   AssemblyScript (main.ts) or C (*.c) -> core module -> embed the world -> component
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const WORLD = 'guest';
// no runtime, no allocator, no traps by assertion: a guest manages its memory as a kernel does
const ASC_OPTIONS = ['-O3', '--runtime', 'stub', '--use', 'abort=', '--noAssert', '--noColors'];
const CLANG_OPTIONS = [
  '--target=wasm32',
  '-std=c17',
  '-O2',
  '-ffreestanding',
  '-nostdlib',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wl,--no-entry',
  '-Wl,-z,stack-size=16384',
];

async function compileAssemblyScript(source, folder) {
  const { default: asc } = await import('assemblyscript/asc');
  let wasm = null;
  let log = '';
  const sink = { write: (text) => (log += text) };
  const { error } = await asc.main([relative(folder, source), '-o', 'guest.wasm', ...ASC_OPTIONS], {
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
  });
  if (error || wasm === null) throw new Error(`AssemblyScript refused it:\n${log || error?.message}`);
  return wasm;
}

async function compileC(source) {
  const { runClang } = await import('@yowasp/clang');
  const folder = dirname(source);
  const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const sources = names.filter((name) => name.endsWith('.c'));
  let log = '';
  try {
    const made = await runClang(['clang', ...CLANG_OPTIONS, ...sources, '-o', 'guest.wasm'], files, {
      stdout: (bytes) => (log += bytes ? Buffer.from(bytes).toString() : ''),
      stderr: (bytes) => (log += bytes ? Buffer.from(bytes).toString() : ''),
    });
    return made['guest.wasm'];
  } catch (cause) {
    throw new Error(`clang refused it:\n${log || cause.message}`, { cause });
  }
}

async function main({ folder, source, component, key }) {
  const startedMs = performance.now();
  const core =
    extname(source) === '.c' ? await compileC(source) : await compileAssemblyScript(source, folder);
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
