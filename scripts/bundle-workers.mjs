// Makes one file of each worker that a migration waits for: its compiled module and all that it imports of this project.
// Run after the compiler, and does nothing when that had nothing to do. src/hypervisor/worker-file.ts finds the files;
// without them a worker is started from its modules.
import { statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const self = fileURLToPath(import.meta.url);
const output = resolve(dirname(dirname(self)), process.argv[2] ?? 'dist');
const WORKERS = [
  'src/migration/sender-core',
  'src/migration/receiver-core',
  'src/hypervisor/vcpu-core',
  // the tracker core's thread, the device that it opens, and the default plugin's core
  'src/plugin/core-worker',
  'src/hypervisor/passthrough-core',
  'plugins/srvm/core',
  // what a guest waits for in its first write to a page that a plugin has trapped
  'src/plugin/exit-entry',
  'plugins/doorbell-trap/exits',
];
const PLUGIN_API = 'srvm/plugin';

const fileOf = (worker) => join(output, 'workers', `${worker}.cjs`);
const writtenAtMs = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** A module looks for its files beside itself, wherever its code ends up. */
const lookFrom = (file) => ({
  name: 'look-from-own-place',
  transform(code, id) {
    if (!code.includes('import.meta.url')) return null;
    const place = `new URL(${JSON.stringify(relative(dirname(file), id))}, import.meta.url).href`;
    return { code: code.replaceAll('import.meta.url', place), map: null };
  },
});

async function bundle(worker) {
  const file = fileOf(worker);
  const built = await rolldown({
    input: join(output, `${worker}.js`),
    platform: 'node',
    resolve: { alias: { [PLUGIN_API]: join(output, 'src/plugin/api.js') } },
    external: (id) => !id.startsWith('.') && !isAbsolute(id) && id !== PLUGIN_API,
    plugins: [lookFrom(file)],
  });
  await built.write({ file, format: 'cjs', codeSplitting: false });
  await built.close();
}

const compiledAtMs = Math.max(writtenAtMs(join(output, '.tsbuildinfo')) || Date.now(), writtenAtMs(self));
const isDue = (worker) => writtenAtMs(fileOf(worker)) < compiledAtMs;
if (WORKERS.some(isDue)) for (const worker of WORKERS) await bundle(worker);
