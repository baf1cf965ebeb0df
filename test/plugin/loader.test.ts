/** Finding plugins, and refusing what is none. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { PluginDefinition } from '../../src/plugin/definition.js';
import { PluginLoadError, PluginOptionError } from '../../src/plugin/errors.js';
import { checkDefinition, loadPlugin, resolveOptions } from '../../src/plugin/loader.js';

// dist/test/plugin -> the repository
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'srvm-plugins-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const METHODS = 'createTracker() {}, saveDevice() {}, restoreDevice() {}, rollbackDevice() {}';

/** Writes a plugin folder; returns its path. */
function write(name: string, manifest: unknown, module: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(
    join(path, 'package.json'),
    typeof manifest === 'string' ? manifest : JSON.stringify(manifest),
  );
  writeFileSync(join(path, 'entry.mjs'), module);
  return path;
}

const definition = (fields: string): string => `export default { ${fields} }`;
const GOOD = definition(`name: 'good', version: '1.2.3', apiVersion: 1, ${METHODS}`);

describe('loadPlugin', () => {
  it('loads the plugins of this repository by folder', async () => {
    const srvm = await loadPlugin(join(ROOT, 'plugins/srvm'));
    expect(srvm.definition).toMatchObject({ name: 'srvm', apiVersion: 1 });
    expect((await loadPlugin('plugins/none', ROOT)).definition.name).toBe('none');
  });

  it('takes the manifest\'s "srvm" entry, or "main"', async () => {
    const named = write('named', { srvm: { plugin: './entry.mjs' }, main: './missing.mjs' }, GOOD);
    expect((await loadPlugin(named)).definition.version).toBe('1.2.3');
    const main = write('main', { main: './entry.mjs' }, GOOD);
    expect((await loadPlugin(main)).definition.name).toBe('good');
  });

  it('finds a package by its name', async () => {
    write('node_modules/some-tracker', { name: 'some-tracker', main: './entry.mjs' }, GOOD);
    expect((await loadPlugin('some-tracker', folder)).definition.name).toBe('good');
  });

  it.each([
    ['a folder that is not there', './nowhere', /there is no folder/],
    ['a package that is not there', 'no-such-tracker', /neither a folder nor an installed package/],
  ])('refuses %s', async (_title, source, message) => {
    await expect(loadPlugin(source, folder)).rejects.toThrow(PluginLoadError);
    await expect(loadPlugin(source, folder)).rejects.toThrow(message);
  });

  it.each([
    ['no JSON', '{', GOOD, /cannot be read as JSON/],
    ['no entry', {}, GOOD, /neither "srvm"/],
    ['an entry that does not exist', { main: './gone.mjs' }, GOOD, /does not exist/],
    ['a module that throws', { main: './entry.mjs' }, 'throw new Error("boom")', /cannot be loaded: boom/],
    ['no default export', { main: './entry.mjs' }, 'export const x = 1', /no definition/],
    [
      'another API version',
      { main: './entry.mjs' },
      definition(`name: 'a', version: '1.0.0', apiVersion: 2, ${METHODS}`),
      /written for API version 2; this VMM has version 1/,
    ],
    [
      'a bad version',
      { main: './entry.mjs' },
      definition(`name: 'a', version: 'new', apiVersion: 1, ${METHODS}`),
      /major.minor.patch/,
    ],
    [
      'a missing method',
      { main: './entry.mjs' },
      definition(`name: 'a', version: '1.0.0', apiVersion: 1, createTracker() {}`),
      /no method saveDevice/,
    ],
    [
      'a claim that there is not',
      { main: './entry.mjs' },
      definition(`name: 'a', version: '1.0.0', apiVersion: 1, claims: { mayLoosePackets: true }, ${METHODS}`),
      /no claim mayLoosePackets \(there are: tracksEveryPage/,
    ],
    [
      'a variant that no image can be named after',
      { main: './entry.mjs' },
      definition(`name: 'a', version: '1.0.0', apiVersion: 1, claims: { guestVariant: '../x' }, ${METHODS}`),
      /its guestVariant "..\/x" is not/,
    ],
  ])('refuses %s', async (title, manifest, module, message) => {
    const path = write(`bad ${title}`, manifest, module);
    await expect(loadPlugin(path)).rejects.toThrow(PluginLoadError);
    await expect(loadPlugin(path)).rejects.toThrow(message);
  });
});

describe('resolveOptions', () => {
  const plugin = checkDefinition('x', {
    name: 'x',
    version: '1.0.0',
    apiVersion: 1,
    options: { mode: { values: ['a', 'b'], default: 'a' }, label: { default: '' } },
    createTracker() {},
    saveDevice() {},
    restoreDevice() {},
    rollbackDevice() {},
  }) as PluginDefinition;

  it('completes with defaults', () => {
    expect(resolveOptions(plugin, { label: 'hello' })).toEqual({ mode: 'a', label: 'hello' });
  });

  it('refuses what the plugin does not have', () => {
    expect(() => resolveOptions(plugin, { speed: '1' })).toThrow(PluginOptionError);
    expect(() => resolveOptions(plugin, { speed: '1' })).toThrow(/it has: mode, label/);
    expect(() => resolveOptions(plugin, { mode: 'c' })).toThrow(/one of a, b/);
    expect(() => resolveOptions(plugin, { label: 'x'.repeat(300) })).toThrow(/more than 256/);
    expect(() => resolveOptions(plugin, { toString: 'x' })).toThrow(PluginOptionError);
  });

  it('refuses a default that is none of the values', () => {
    const bad = { ...plugin, options: { mode: { values: ['a'], default: 'z' } } };
    expect(() => checkDefinition('x', bad)).toThrow(/no default among its values/);
  });
});
