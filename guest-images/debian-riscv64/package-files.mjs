// The files of packages, extracted side by side into one tree without installing anything: no package script runs.
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join, normalize } from 'node:path';
import { PackageError } from './apt.mjs';

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export class PackageFiles {
  #folder;
  /** Paths of the tree, without a leading slash; symbolic links with what they point to. */
  #paths = new Map();

  /** @param folder emptied first */
  constructor(folder) {
    this.#folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }

  /** Extracts a package, or only what matches tar's patterns. */
  add(deb, { only = [] } = {}) {
    const patterns = only.length > 0 ? `--wildcards ${only.map(quote).join(' ')}` : '';
    // the largest package unpacks to half a gigabyte: it goes through a pipe
    const command = `set -o pipefail; dpkg-deb --fsys-tarfile ${quote(deb)} | tar -x --no-same-owner -C ${quote(this.#folder)} ${patterns}`;
    const done = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    if (done.status !== 0) throw new PackageError(`${deb} cannot be unpacked: ${done.stderr.trim()}`);
    this.#paths.clear();
    this.#index('');
  }

  #index(below) {
    for (const entry of readdirSync(join(this.#folder, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) this.#index(path);
      else this.#paths.set(path, entry.isSymbolicLink() ? readlinkSync(join(this.#folder, path)) : null);
    }
  }

  matching(pattern) {
    return [...this.#paths.keys()].filter((path) => pattern.test(path)).sort();
  }

  has(path) {
    return this.#paths.has(path);
  }

  /** Follows symbolic links inside the tree. */
  read(path) {
    const target = this.#paths.get(path);
    if (target === undefined) throw new PackageError(`no package has the file ${path}`);
    if (target === null) return readFileSync(join(this.#folder, path));
    const to = target.startsWith('/') ? target.slice(1) : normalize(join(dirname(path), target));
    return this.read(to);
  }
}
