// Compiles the riscv64 core (src/rv64/cpu/wasm, AssemblyScript) to dist/src/rv64/cpu/core.wasm, unless nothing it is made
// of has changed: sources, compiler, options.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expandSequences } from './rv64-core-sequences.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = 'src/rv64/cpu/wasm';
const output = join(root, 'dist/src/rv64/cpu/core.wasm');
const OPTIONS = [
  '-O3',
  '--converge',
  ...['--runtime', 'stub'],
  ...['--use', 'abort='],
  '--noAssert',
  ...['--uncheckedBehavior', 'always'],
  ...['--enable', 'threads', '--enable', 'simd'],
  '--importMemory',
  '--sharedMemory',
  ...['--initialMemory', '1'],
  ...['--maximumMemory', '65536'],
  '--noColors',
];

const files = readdirSync(join(root, sources)).sort();
const hash = createHash('sha256').update(readFileSync(join(root, 'scripts/rv64-core-sequences.mjs')));
hash.update(readFileSync(join(root, 'node_modules/assemblyscript/package.json')));
hash.update(OPTIONS.join(' '));
for (const file of files) hash.update(`${file}\n`).update(readFileSync(join(root, sources, file)));
const key = hash.digest('hex');

const keyFile = `${output}.key`;
const upToDate = existsSync(output) && existsSync(keyFile) && readFileSync(keyFile, 'utf8') === key;
if (!upToDate) {
  const read = (file) => readFileSync(join(root, sources, file), 'utf8');
  const generated = expandSequences(read('execute.ts'), read('ops.ts'), JSON.parse(read('sequences.json')));
  const { default: asc } = await import('assemblyscript/asc');
  let wasm = null;
  let log = '';
  const sink = { write: (text) => (log += text) };
  const { error } = await asc.main([`${sources}/main.ts`, '-o', 'core.wasm', ...OPTIONS], {
    stdout: sink,
    stderr: sink,
    readFile: (name) => {
      const made = generated[relative(sources, name)];
      if (made !== undefined) return made;
      try {
        return readFileSync(join(root, name), 'utf8');
      } catch {
        return null;
      }
    },
    listFiles: () => [],
    writeFile: (_name, contents) => (wasm = contents),
  });
  if (error || wasm === null) {
    console.error(`rv64 core: AssemblyScript refused it:\n${log || error?.message}`);
    process.exit(1);
  }
  mkdirSync(dirname(output), { recursive: true });
  // whole or not at all: another process may be loading it
  writeFileSync(`${output}.new`, wasm);
  renameSync(`${output}.new`, output);
  writeFileSync(keyFile, key);
  console.error(`rv64 core: ${wasm.length} bytes of code`);
}
