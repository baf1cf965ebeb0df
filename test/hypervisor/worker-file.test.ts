/** Workers are started from the one file that the build made of them, unless what was compiled since is newer. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { workerFile } from '../../src/hypervisor/worker-file.js';

describe('the file that a worker is started from', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'srvm-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const output = (): URL => pathToFileURL(`${folder}/`);
  const module = (): URL => new URL('src/migration/sender-core.js', output());
  const bundle = (): URL => new URL('workers/src/migration/sender-core.cjs', output());

  function write(file: URL, atSeconds: number): void {
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
    writeFileSync(file, '');
    utimesSync(file, atSeconds, atSeconds);
  }

  it('is the module where nothing was bundled', () => {
    expect(workerFile(module(), output())).toEqual(module());
  });

  it('is the bundle where there is one', () => {
    write(bundle(), 1000);
    expect(workerFile(module(), output())).toEqual(bundle());
    write(new URL('.tsbuildinfo', output()), 1000);
    expect(workerFile(module(), output())).toEqual(bundle());
  });

  it('is the module again once something was compiled and not bundled', () => {
    write(bundle(), 1000);
    write(new URL('.tsbuildinfo', output()), 1001);
    expect(workerFile(module(), output())).toEqual(module());
  });

  it("is a stranger's own module: a plugin from elsewhere", () => {
    write(bundle(), 1000);
    const strange = new URL('file:///plugins/src/migration/sender-core.js');
    expect(workerFile(strange, output())).toEqual(strange);
  });
});
