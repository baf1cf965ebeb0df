// Debian packages of another architecture, by name, through the apt of this machine: its mirror, its proxy, its keyring.
// Lists and packages lie in folders of ours; nothing is installed, and the machine's own apt state is not touched.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The packages cannot be had on this machine. */
export class PackageError extends Error {
  name = 'PackageError';
}

/** Runs a program and returns what it printed; a program that is missing or fails is a PackageError. */
export function run(program, args, { cwd, input, encoding = 'utf8' } = {}) {
  const done = spawnSync(program, args, { cwd, input, encoding, maxBuffer: 1 << 30 });
  if (done.error?.code === 'ENOENT') {
    throw new PackageError(
      `the program '${program}' is missing: the image is built on a Debian machine (apt, dpkg, tar, xz)`,
    );
  }
  if (done.error) throw new PackageError(`${program}: ${done.error.message}`);
  if (done.status !== 0) {
    throw new PackageError(
      `${program} ${args.at(-1)} failed (status ${done.status}):\n${String(done.stderr).trim()}`,
    );
  }
  return done.stdout;
}

/** Where the machine's own sources have Debian's archive from, the likeliest first. */
function mirrors() {
  const lines = run('apt-get', ['update', '--print-uris']).split('\n');
  const bases = lines.map((line) => /^'(.+?)\/dists\//.exec(line)?.[1]).filter(Boolean);
  const unique = [...new Set(bases)].filter((base) => !/security/.test(base));
  return unique.sort((a, b) => Number(b.endsWith('/debian')) - Number(a.endsWith('/debian')));
}

export class ForeignApt {
  #folder;
  #suite;
  #architecture;
  #keyring;

  constructor(folder, { suite, architecture, keyring }) {
    this.#folder = folder;
    this.#suite = suite;
    this.#architecture = architecture;
    this.#keyring = keyring;
    for (const path of ['state/lists/partial', 'cache/archives/partial', 'packages']) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    writeFileSync(join(folder, 'state/status'), '');
  }

  #run(program, args, options) {
    const folder = this.#folder;
    const settings = {
      'APT::Architecture': this.#architecture,
      'APT::Architectures': this.#architecture,
      'APT::Sandbox::User': 'root',
      'Dir::State': join(folder, 'state'),
      'Dir::State::status': join(folder, 'state/status'),
      'Dir::Etc::sourcelist': join(folder, 'sources.list'),
      'Dir::Etc::sourceparts': '-',
      'Dir::Cache': join(folder, 'cache'),
      'Acquire::Languages': 'none',
    };
    return run(
      program,
      [...Object.entries(settings).map(([key, value]) => `-o${key}=${value}`), ...args],
      options,
    );
  }

  /** Reads the suite's package list, from the first mirror that has it signed by Debian's keyring. */
  update() {
    const failures = [];
    for (const mirror of mirrors()) {
      const options = `[arch=${this.#architecture} signed-by=${this.#keyring}]`;
      writeFileSync(join(this.#folder, 'sources.list'), `deb ${options} ${mirror} ${this.#suite} main\n`);
      try {
        this.#run('apt-get', ['-q', '--error-on=any', 'update']);
        return;
      } catch (error) {
        failures.push(error.message);
      }
    }
    throw new PackageError(
      `no mirror in this machine's apt sources has Debian ${this.#suite} for ${this.#architecture}` +
        (failures.length > 0 ? `:\n${failures.join('\n')}` : ''),
    );
  }

  /** Every package of the suite by name: { name, version, sha256, depends: [name] }. */
  packages() {
    const packages = new Map();
    for (const stanza of this.#run('apt-cache', ['dumpavail']).split('\n\n')) {
      const field = (key) => new RegExp(`^${key}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
      const name = field('Package');
      if (name === '') continue;
      // of alternatives the first
      const depends = field('Depends')
        .split(',')
        .map((part) => part.trim().split(/[ (|:]/)[0]);
      packages.set(name, {
        name,
        version: field('Version'),
        sha256: field('SHA256'),
        depends: depends.filter(Boolean),
      });
    }
    return packages;
  }

  /** The files of packages, in the same order; apt checks their sha256 against the signed list. */
  download(packages) {
    const folder = join(this.#folder, 'packages');
    const wanted = packages.map(({ name, version }) => `${name}=${version}`);
    this.#run('apt-get', ['-q', 'download', ...wanted], { cwd: folder });
    const present = readdirSync(folder);
    return packages.map(({ name, version }) => {
      const start = `${name}_${version.replaceAll(':', '%3a')}_`;
      const file = present.find((entry) => entry.startsWith(start));
      if (file === undefined) throw new PackageError(`apt-get download ${name} left no file ${start}*.deb`);
      return join(folder, file);
    });
  }
}
