/** Every image that ships: a manifest the VMM reads, a core module of the guest world and nothing else, small enough. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { listImages } from '../../src/control/images.js';
import { MAX_CORE_BYTES } from '../../src/guest/build-image.js';
import { MACHINE_FUNCTIONS, MACHINE_MODULE } from '../../src/guest/world.js';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), '../../../guest-images');
/** Components; other kinds have tests of their own. */
const images = listImages(FOLDER).filter(({ kind }) => kind === 'component');

describe('images', () => {
  it('are all there', () => {
    expect(images.map(({ name }) => name)).toEqual([
      'c-echo',
      'idle',
      'kv-store',
      'packet-sink',
      'packet-source',
      'page-dirtier',
      'udp-echo',
      'udp-echo-bonded',
      'udp-echo-compsc',
      'udp-echo-suspend',
      'udp-echo-virtio',
    ]);
  });

  it.each(images)('$name is of the guest world', ({ name, component, commandLine, memory, description }) => {
    expect(description).not.toBe('');
    expect(commandLine).toContain('ip=10.0.0.2');
    expect(memory).toMatch(/^\d+M$/);
    expect(readFileSync(component).subarray(0, 8).toString('hex')).toBe('0061736d0d000100');
    const bytes = readFileSync(join(dirname(component), `${name}.core.wasm`));
    expect(bytes.length).toBeLessThan(MAX_CORE_BYTES);
    const core = new WebAssembly.Module(bytes);
    for (const { module, name: field, kind } of WebAssembly.Module.imports(core)) {
      expect([module, kind]).toEqual([MACHINE_MODULE, 'function']);
      expect(Object.keys(MACHINE_FUNCTIONS)).toContain(field);
    }
    const functions = WebAssembly.Module.exports(core).filter(({ kind }) => kind === 'function');
    expect(functions.map((entry) => entry.name)).toContain('run');
  });
});
