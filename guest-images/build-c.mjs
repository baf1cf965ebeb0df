// Builds a guest image that is written in C: one clang run per source, one link, then the component of wit/guest.wit.
// The compiler is itself a WebAssembly program from npm, so that no system compiler is needed.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';
import { runLLVM } from '@yowasp/clang';

const WIT_FILE = join(dirname(fileURLToPath(import.meta.url)), 'wit/guest.wit');
const WORLD = 'guest';
const COMPILE = [
  '--target=wasm32-unknown-unknown',
  '-std=c17',
  '-O2',
  '-ffreestanding',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-c',
];
// the stack first: running over it traps instead of overwriting data
const LINK = ['--no-entry', '--strip-all', '--stack-first', '-z', 'stack-size=16384'];

/** Sources that do not compile, with what the compiler said. */
export class CompileError extends Error {
  name = 'CompileError';
}

async function runTool(args, files) {
  const said = [];
  const keep = (bytes) => {
    if (bytes !== null) said.push(Buffer.from(bytes));
  };
  try {
    return await runLLVM(args, files, { stdout: keep, stderr: keep, fetchProgress: () => {} });
  } catch (cause) {
    throw new CompileError(`${args.join(' ')}\n${Buffer.concat(said)}`, { cause });
  }
}

/** The core module of all .c files in a folder; headers are looked up there too. */
export async function compileC(folder) {
  const names = (await readdir(folder)).filter((name) => ['.c', '.h'].includes(extname(name))).sort();
  const entries = await Promise.all(
    names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')]),
  );
  const sources = Object.fromEntries(entries);
  const objects = {};
  for (const name of names.filter((each) => extname(each) === '.c')) {
    const object = `${name}.o`;
    const made = await runTool(['clang', ...COMPILE, name, '-o', object], sources);
    objects[object] = made[object];
  }
  const linked = await runTool(['wasm-ld', ...LINK, ...Object.keys(objects), '-o', 'core.wasm'], objects);
  return linked['core.wasm'];
}

/** Compiles a folder's C sources and writes the component; returns both sizes in bytes. */
export async function buildCImage(folder, outFile) {
  const core = await compileC(folder);
  const witSource = await readFile(WIT_FILE, 'utf8');
  const embedded = await componentEmbed({ binary: core, witSource, world: WORLD, stringEncoding: 'utf8' });
  const component = await componentNew(embedded, []);
  await mkdir(dirname(outFile), { recursive: true });
  await writeFile(outFile, component);
  return { coreBytes: core.length, componentBytes: component.length };
}
