/**
 * Component -> JavaScript half and core modules -> two builds of the core module that owns the memory. Heavy: it loads
 * the component toolchain and the optimiser. Only the build process imports this file.
 */
import { transpileBytes } from '@bytecodealliance/jco-transpile';
import { GuestImageError } from './guest-image-error.js';
import type { ImageBuild } from './loaded-image.js';
import { rewriteCore } from './rewrite/rewrite-core.js';
import { parseModule } from './wasm/parse-module.js';
import type { WasmModule } from './wasm/wasm-module.js';
import { MACHINE_INTERFACE, RUN_EXPORT, wrongWorld } from './world.js';

/** Asyncify and its optimiser take about 18 s for a megabyte; guests are small. */
export const MAX_CORE_BYTES = 256 * 1024;

/** @param ramBytes what layoutFor accepts. Throws GuestImageError when the image cannot be run. */
export async function buildImage(component: Uint8Array, ramBytes: number): Promise<ImageBuild> {
  const files = await transpile(component);
  const cores = Object.entries(files).filter(([name]) => name.endsWith('.wasm'));
  const { name: mainModule, wasm } = findMainModule(cores);
  if (wasm.length > MAX_CORE_BYTES) {
    throw new GuestImageError(
      'too-large',
      `the image's code is ${wasm.length} bytes; at most ${MAX_CORE_BYTES} are supported. Optimise it for size (-Os)`,
    );
  }
  const { plainWasm, logWasm, ...rest } = rewriteCore(wasm, ramBytes);
  const script = Object.entries(files).find(([name]) => name.endsWith('.js'));
  if (script === undefined)
    throw new GuestImageError('build-failed', 'the component toolchain wrote no JavaScript');
  return {
    ramBytes,
    jcoSource: new TextDecoder().decode(script[1]),
    mainModule,
    plainWasm,
    logWasm,
    shimModules: Object.fromEntries(cores.filter(([name]) => name !== mainModule)),
    ...rest,
  };
}

async function transpile(component: Uint8Array): Promise<Record<string, Uint8Array>> {
  let result: Awaited<ReturnType<typeof transpileBytes>>;
  try {
    result = await transpileBytes(component, {
      name: 'guest',
      instantiation: 'async',
      emitTypescriptDeclarations: false,
      minify: false,
    });
  } catch (cause) {
    throw new GuestImageError(
      'malformed',
      `the image is not a component that the toolchain understands: ${firstLine(cause)}`,
      { cause },
    );
  }
  const foreign = result.imports.filter((name) => name !== MACHINE_INTERFACE);
  if (foreign.length > 0)
    throw wrongWorld(`it imports ${foreign.join(', ')}, which this machine does not have`);
  const exports = result.exports.map(([name]) => name);
  if (exports.length !== 1 || exports[0] !== RUN_EXPORT) {
    throw wrongWorld(`it exports ${exports.join(', ') || 'nothing'} where "run" alone is expected`);
  }
  return result.files;
}

function findMainModule(cores: readonly [string, Uint8Array][]): { name: string; wasm: Uint8Array } {
  const parsed = cores.map(([name, wasm]) => ({ name, wasm, module: parseModule(wasm) }));
  const owners = parsed.filter(({ module }) => module.memories.length > 0);
  const borrowers = parsed.filter(({ module }) => importsMemory(module));
  if (owners.length > 1 || borrowers.length > 0) {
    const names = [...owners, ...borrowers].map(({ name }) => name).join(', ');
    throw new GuestImageError(
      'several-core-modules',
      `the image has several core modules that use memory (${names}); link it into one`,
    );
  }
  if (owners.length === 0) {
    throw new GuestImageError(
      'no-memory',
      'the image has no memory of its own, so it cannot drive a network card',
    );
  }
  return owners[0];
}

function importsMemory(module: WasmModule): boolean {
  return module.imports.some((entry) => entry.description.kind === 'memory');
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n')[0];
}
