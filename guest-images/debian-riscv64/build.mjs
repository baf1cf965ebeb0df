// Builds the Debian guest: the package's own kernel, and an initramfs made of the packages' files and of root/.
//
//   node guest-images/debian-riscv64/build.mjs [--update]
//
//   apt's package list -> packages (sha256 checked) -> files -> build/vmlinux, build/initramfs.cpio, build/manifest.json
//
// Nothing of it is changed on the way: manifest.json names every package, and the sha256 of the kernel and its modules.
// What is there is kept until the sources here change; --update asks the mirror for newer packages.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ForeignApt, PackageError } from './apt.mjs';
import { writeInitramfs } from './initramfs.mjs';
import { PackageFiles } from './package-files.mjs';

const folder = dirname(fileURLToPath(import.meta.url));
const build = join(folder, 'build');
const MANIFEST_VERSION = 1;
/** Of the kernel's package: the rest are drivers of boards that the machine does not have. */
const KERNEL_FILES = [
  './boot/vmlinux-*',
  './usr/lib/modules/*/modules.*',
  './usr/lib/modules/*/kernel/drivers/net/*',
  './usr/lib/modules/*/kernel/drivers/block/*',
  './usr/lib/modules/*/kernel/drivers/char/*',
  './usr/lib/modules/*/kernel/net/*',
];

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

function filesBelow(path) {
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const at = join(path, entry.name);
      if (entry.isDirectory()) return at === build ? [] : filesBelow(at);
      return [at];
    });
}

/** Hash of everything in this folder that the result depends on. */
function sourceKey() {
  const hash = createHash('sha256');
  for (const file of filesBelow(folder)) {
    hash
      .update(`${relative(folder, file)}\n`)
      .update(readFileSync(file))
      .update('\n');
  }
  return hash.digest('hex');
}

function isUpToDate(key) {
  const file = join(build, 'manifest.json');
  if (!existsSync(file)) return false;
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  return (
    manifest.sources === key &&
    [manifest.kernel, manifest.initramfs].every(
      ({ file: name, sha256: sum }) =>
        existsSync(join(build, name)) && sha256(readFileSync(join(build, name))) === sum,
    )
  );
}

/** The packages themselves, and those with libraries that they may need, in the order found. */
function resolvePackages(available, config) {
  const show = (name) => {
    const found = available.get(name);
    if (found === undefined) throw new PackageError(`Debian ${config.suite} has no package ${name}`);
    return found;
  };
  const kernel = show(config.kernel).depends.find((name) => name.startsWith('linux-image-'));
  if (kernel === undefined) throw new PackageError(`${config.kernel} names no kernel package`);
  const found = new Map([[kernel, show(kernel)]]);
  const waiting = Object.keys(config.programs);
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (found.has(name)) continue;
    found.set(name, show(name));
    waiting.push(...show(name).depends.filter((depended) => /^(lib|zlib)/.test(depended)));
  }
  return { kernel: found.get(kernel), all: [...found.values()] };
}

function writeAside(name, bytes) {
  const aside = join(build, `.${name}`);
  writeFileSync(aside, bytes);
  renameSync(aside, join(build, name));
}

function main() {
  const key = sourceKey();
  if (!process.argv.includes('--update') && isUpToDate(key)) return;
  const started = Date.now();
  const config = JSON.parse(readFileSync(join(folder, 'packages.json'), 'utf8'));
  const apt = new ForeignApt(join(build, 'apt'), config);
  apt.update();
  const { kernel, all } = resolvePackages(apt.packages(), config);
  const files = new PackageFiles(join(build, 'files'));
  for (const [index, deb] of apt.download(all).entries()) {
    const found = all[index];
    if (sha256(readFileSync(deb)) !== found.sha256)
      throw new PackageError(`${deb} is not the package that apt's list names`);
    files.add(deb, found === kernel ? { only: KERNEL_FILES } : {});
  }
  const vmlinux = files.read(files.matching(/^boot\/vmlinux-/)[0]);
  const { archive, modules } = writeInitramfs({ files, config, overlay: join(folder, 'root') });
  mkdirSync(build, { recursive: true });
  writeAside('vmlinux', vmlinux);
  writeAside('initramfs.cpio', archive);
  const manifest = {
    version: MANIFEST_VERSION,
    sources: key,
    kernel: { file: 'vmlinux', package: kernel.name, version: kernel.version, sha256: sha256(vmlinux) },
    initramfs: { file: 'initramfs.cpio', sha256: sha256(archive) },
    modules,
    packages: all.map(({ name, version, sha256: sum }) => ({ name, version, sha256: sum })),
  };
  writeAside('manifest.json', `${JSON.stringify(manifest, null, 2)}\n`);
  rmSync(join(build, 'files'), { recursive: true, force: true });
  console.error(
    `debian-riscv64: ${kernel.name} ${kernel.version}, initramfs of ${(archive.length / 1e6).toFixed(1)} MB, ` +
      `${((Date.now() - started) / 1000).toFixed(1)} s`,
  );
}

try {
  main();
} catch (error) {
  if (!(error instanceof PackageError)) throw error;
  console.error(`debian-riscv64: ${error.message}`);
  process.exitCode = 1;
}
