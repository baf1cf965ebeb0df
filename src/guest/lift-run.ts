/**
 * The component's `run`, as its own JavaScript half lifts it, over core exports of our making. The component toolchain
 * never sees the builds: it is handed a module to hold and exports that stop, move and go on behind its back.
 */
import type { LoadedImage } from './loaded-image.js';
import { INITIALIZE_EXPORT, MACHINE_INTERFACE, RUN_EXPORT } from './world.js';

type Exports = Record<string, unknown>;
type Instantiate = (
  getCoreModule: (path: string) => WebAssembly.Module,
  imports: Record<string, Exports>,
  instantiateCore: (module: WebAssembly.Module, imports?: Exports) => { exports: Exports },
) => Promise<{ run: () => number }> | { run: () => number };

/** An empty core module: stands for the guest's, which jco holds but never instantiates itself. */
const EMPTY_MODULE = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

/**
 * @param runCore what the lifted `run` calls for the guest's core `run`.
 * @param memory the guest's memory, for component parts that ask for it.
 */
export async function liftRun(
  image: LoadedImage,
  memory: WebAssembly.Memory,
  runCore: () => number,
): Promise<() => number> {
  const source = Buffer.from(image.jcoSource, 'utf8').toString('base64');
  const { instantiate } = (await import(`data:text/javascript;base64,${source}`)) as {
    instantiate: Instantiate;
  };
  const main = new WebAssembly.Module(EMPTY_MODULE);
  const mainExports: Exports = {
    [RUN_EXPORT]: runCore,
    // has been made part of run: see bootBody
    [INITIALIZE_EXPORT]: () => {},
    memory,
  };
  const component = await instantiate(
    (path) =>
      path === image.mainModule ? main : new WebAssembly.Module(image.shimModules[path] as BufferSource),
    { [MACHINE_INTERFACE]: neverCalled },
    (module, imports) =>
      module === main
        ? { exports: mainExports }
        : new WebAssembly.Instance(module, (imports ?? {}) as WebAssembly.Imports),
  );
  return component.run;
}

/** Component-level imports must exist, but the core module calls the machine directly: 5 ns instead of 4,200. */
const neverCalled: Exports = new Proxy({}, { get: () => () => 0 });
