/**
 * Loading an image: the build process, the cache, what a cached load must not touch.
 */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry } from '../../src/guest/image-entry.js';
import { imageKey } from '../../src/guest/image-key.js';
import { loadImage } from '../../src/guest/load-image.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { componentOf } from './component.js';
import { compileAssemblyScript } from './packet-loops.js';

let folder: string;
let cacheDir: string;
let path: string;
const ramBytes = MIN_RAM_BYTES;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'srvm-load-'));
  cacheDir = join(folder, 'cache', 'images');
  path = join(folder, 'tiny.component.wasm');
  const core = await compileAssemblyScript('let n: u32 = 5; export function run(): u32 { return n++; }');
  await writeFile(path, await componentOf(core));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('loadImage', () => {
  it('builds once, then takes the entry from the cache', async () => {
    const first = await loadImage(path, { ramBytes, cacheDir });
    expect(first.name).toBe('tiny');
    const files = await readdir(cacheDir);
    expect(files).toEqual([`${first.key}.image`]);
    const before = await stat(join(cacheDir, files[0]));
    expect(await loadImage(path, { ramBytes, cacheDir })).toEqual(first);
    expect((await stat(join(cacheDir, files[0]))).ino).toBe(before.ino);
    expect(structuredClone(first)).toEqual(first);
  });

  it.each(['truncated', 'flipped', 'emptied'])('rebuilds an entry that was %s', async (how) => {
    const image = await loadImage(path, { ramBytes, cacheDir });
    const file = join(cacheDir, `${image.key}.image`);
    const whole = await readFile(file);
    const damaged = {
      truncated: whole.subarray(0, 1000),
      flipped: Buffer.from(whole),
      emptied: Buffer.alloc(0),
    }[how]!;
    if (how === 'flipped') damaged[damaged.length >> 1] ^= 1;
    await writeFile(file, damaged);
    expect(await loadImage(path, { ramBytes, cacheDir })).toEqual(image);
    expect(decodeEntry(await readFile(file))).not.toBeNull();
  });

  it('works without a cache that can be written', async () => {
    const locked = join(folder, 'locked');
    await writeFile(locked, 'a file where the folder should be');
    const image = await loadImage(path, { ramBytes, cacheDir: join(locked, 'cache') });
    expect(image.plainWasm.length).toBeGreaterThan(0);
    await chmod(locked, 0o600);
  });

  it('refuses what is no component, and sizes of memory that no machine has', async () => {
    const core = join(folder, 'core.wasm');
    await writeFile(core, await compileAssemblyScript('export function run(): u32 { return 1; }'));
    await expect(loadImage(core, { ramBytes, cacheDir })).rejects.toMatchObject({
      reason: 'not-a-component',
    });
    await expect(loadImage(fileURLToPath(import.meta.url), { ramBytes, cacheDir })).rejects.toMatchObject({
      reason: 'not-a-component',
    });
    await expect(loadImage(join(folder, 'none'), { ramBytes, cacheDir })).rejects.toMatchObject({
      reason: 'unreadable',
    });
    await expect(loadImage(path, { ramBytes: 4096, cacheDir })).rejects.toBeInstanceOf(RangeError);
  });

  it('passes on the reason of a refusal from the build process', async () => {
    const large = join(folder, 'large.wasm');
    const source = 'export function run(): u32 { return memory.grow(1); }';
    await writeFile(
      large,
      await componentOf(await compileAssemblyScript(source, ['--initialMemory', '2000'])),
    );
    await expect(loadImage(large, { ramBytes, cacheDir })).rejects.toMatchObject({
      reason: 'too-much-memory',
      message: expect.stringContaining('give it more memory') as unknown,
    });
  });
});

describe('the key', () => {
  it('depends on the component and on the size of memory', () => {
    const component = new Uint8Array(100);
    const key = imageKey(component, ramBytes);
    expect(imageKey(component, ramBytes)).toBe(key);
    expect(imageKey(component, 2 * ramBytes)).not.toBe(key);
    expect(imageKey(new Uint8Array(101), ramBytes)).not.toBe(key);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('a cache entry', () => {
  it('holds a build whole', () => {
    const build = {
      ramBytes,
      jcoSource: 'export const text = "\u00e9";',
      mainModule: 'a.core.wasm',
      plainWasm: Uint8Array.of(1, 2, 3),
      logWasm: Uint8Array.of(4, 5),
      shimModules: { 'b.core.wasm': Uint8Array.of(6) },
      dataSegments: [{ offset: 1024, bytes: Uint8Array.of(7, 8) }],
      initialPages: 2,
      maxPages: 256,
      globalTypes: [0x7f, 0x7c],
    };
    expect(decodeEntry(encodeEntry(build))).toEqual(build);
    expect(decodeEntry(new Uint8Array(5))).toBeNull();
  });
});

describe('a cached load', () => {
  it('reaches neither the component toolchain nor the optimiser', async () => {
    const seen = new Set<string>();
    const packages = new Set<string>();
    const follow = async (file: string): Promise<void> => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, target] of (await readFile(file, 'utf8')).matchAll(/from '([^']+)'/g)) {
        if (target.startsWith('.')) await follow(join(file, '..', target));
        else packages.add(target);
      }
    };
    await follow(fileURLToPath(new URL('../../src/guest/load-image.js', import.meta.url)));
    expect(seen.size).toBeGreaterThan(5);
    expect([...packages].filter((name) => !name.startsWith('node:'))).toEqual([]);
  });
});
