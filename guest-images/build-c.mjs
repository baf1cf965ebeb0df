// Compiles a guest image that is written in C to its core module: one clang run per source, one link. The compiler is
// itself a WebAssembly program from npm, so that no system compiler is needed.
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { runLLVM } from '@yowasp/clang';

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
