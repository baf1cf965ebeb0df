// What the guest finds as its root: programs with the libraries they ask for, kernel modules with those they depend on,
// and the files of root/.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PackageError, run } from './apt.mjs';
import { CpioArchive } from './cpio.mjs';
import { dynamicNeeds, isElf64, moduleDependencies } from './elf.mjs';

const LIBRARY_FOLDERS = ['usr/lib/riscv64-linux-gnu', 'usr/lib'];
const FOLDERS = ['dev', 'proc', 'sys', 'tmp', 'run', 'root', 'etc', 'var', 'usr/bin', 'usr/sbin', 'usr/lib'];
/** As Debian has it since its folders were merged. */
const MERGED = { bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib' };

/** Adds a program or library and all that it needs. */
function addWithLibraries(archive, files, path) {
  if (archive.has(path)) return;
  const bytes = files.read(path);
  archive.file(path, bytes, 0o755);
  if (!isElf64(bytes)) return;
  const { interpreter, needed } = dynamicNeeds(bytes);
  if (interpreter !== null) addWithLibraries(archive, files, interpreter.replace(/^\/(usr\/)?/, 'usr/'));
  for (const soname of needed) {
    const holder = LIBRARY_FOLDERS.map((folder) => `${folder}/${soname}`).find((at) => files.has(at));
    if (holder === undefined)
      throw new PackageError(
        `${path} needs ${soname}, which is in none of the packages and their dependencies`,
      );
    addWithLibraries(archive, files, holder);
  }
}

const fileNameOf = (name) => new RegExp(`/${name.replaceAll(/[-_]/g, '[-_]')}\\.ko\\.xz$`);

/** Adds modules as the kernel loads them, with the list of dependencies that modprobe reads. */
function addModules(archive, files, wanted) {
  const found = new Map();
  const visit = (name) => {
    const [path] = files.matching(fileNameOf(name));
    if (path === undefined) throw new PackageError(`the kernel package has no module ${name}`);
    if (found.has(path)) return path;
    // only unpacked: the module's own bytes and its signature stay
    const content = run('xz', ['-dc'], { input: files.read(path), encoding: 'buffer' });
    const entry = { path: path.replace(/\.xz$/, ''), content, depends: [] };
    found.set(path, entry);
    entry.depends = moduleDependencies(content).map(visit);
    return path;
  };
  wanted.forEach(visit);
  const release = /^usr\/lib\/modules\/([^/]+)\//.exec([...found.keys()][0])[1];
  const home = `usr/lib/modules/${release}`;
  const inHome = (path) => found.get(path).path.slice(home.length + 1);
  for (const { path, content } of found.values()) archive.file(path, content);
  const closure = (path) => found.get(path).depends.flatMap((depended) => [depended, ...closure(depended)]);
  const lines = [...found.keys()].map(
    (path) =>
      `${inHome(path)}:${[...new Set(closure(path))].map((depended) => ` ${inHome(depended)}`).join('')}\n`,
  );
  archive.file(`${home}/modules.dep`, Buffer.from(lines.join('')));
  for (const list of ['modules.order', 'modules.builtin']) {
    if (files.has(`${home}/${list}`)) archive.file(`${home}/${list}`, files.read(`${home}/${list}`));
  }
  return [...found.entries()].map(([path, { content }]) => ({
    name: basename(path, '.ko.xz'),
    sha256: createHash('sha256').update(content).digest('hex'),
    xzSha256: createHash('sha256').update(files.read(path)).digest('hex'),
  }));
}

function addOverlay(archive, folder, below = '') {
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const stat = statSync(join(folder, path));
    if (stat.isDirectory()) addOverlay(archive, folder, path);
    else archive.file(path, readFileSync(join(folder, path)), (stat.mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

/** { archive: bytes of the initramfs, modules: their names and sha256 }. */
export function writeInitramfs({ files, config, overlay }) {
  const archive = new CpioArchive();
  for (const path of FOLDERS) archive.folder(path);
  for (const [path, target] of Object.entries(MERGED)) archive.link(path, target);
  archive.charDevice('dev/console', 5, 1);
  for (const path of Object.values(config.programs).flat()) addWithLibraries(archive, files, path);
  for (const applet of config.applets) {
    if (!archive.has(`usr/bin/${applet}`) && !archive.has(`usr/sbin/${applet}`))
      archive.link(`usr/bin/${applet}`, 'busybox');
  }
  const modules = addModules(archive, files, config.modules);
  addOverlay(archive, overlay);
  return { archive: archive.bytes(), modules };
}
