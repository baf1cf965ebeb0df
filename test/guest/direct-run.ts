/**
 * Runs core modules without the component's JavaScript half and without a worker: for tests and benchmarks of the
 * rewriter alone.
 */
import { GuestBuild } from '../../src/guest/guest-build.js';
import type { RewrittenCore } from '../../src/guest/rewrite/rewrite-core.js';
import { HOST_MODULE, MACHINE_MODULE, MEMORY_FIELD, POLL_FIELD } from '../../src/guest/world.js';
import { CTRL, layoutFor, type MemoryLayout, MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { createMemory } from '../../src/machine/memory.js';

export type MachineImports = Record<string, (...args: number[]) => number | bigint | undefined>;

/** A machine without devices: what a test does not give answers 0. */
export function machineOf(functions: MachineImports): MachineImports {
  const none = () => 0;
  return {
    'pci-read': none,
    'pci-write': none,
    'bar-read': none,
    'bar-write': none,
    'wait-for-interrupt': none,
    'clock-ns': () => 0n,
    'console-write': none,
    'command-line': none,
    ...functions,
  };
}

export interface OriginalRun {
  readonly run: () => number;
  readonly memory: WebAssembly.Memory;
  readonly exports: WebAssembly.Exports;
}

/** The untouched module, with a memory of its own. */
export function instantiateOriginal(wasm: Uint8Array, machine: MachineImports): OriginalRun {
  const imports = { [MACHINE_MODULE]: machine } as unknown as WebAssembly.Imports;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm as BufferSource), imports);
  return { run: exports['run'] as () => number, memory: exports['memory'] as WebAssembly.Memory, exports };
}

export interface RewrittenRun {
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly control: Int32Array;
  readonly plain: GuestBuild;
  readonly logging: GuestBuild;
}

/** A booted memory with both builds over it. */
export function instantiateRewritten(
  core: RewrittenCore,
  machine: MachineImports,
  poll: () => void,
  memory?: WebAssembly.Memory,
  ramBytes = MIN_RAM_BYTES,
): RewrittenRun {
  const layout = layoutFor(ramBytes);
  const owned = memory ?? createMemory(layout);
  const control = new Int32Array(owned.buffer, layout.controlOffset, 1024);
  if (memory === undefined) {
    const bytes = new Uint8Array(owned.buffer);
    for (const { offset, bytes: content } of core.dataSegments) bytes.set(content, offset);
    control[CTRL.guestPages] = core.initialPages;
  }
  const imports = { [HOST_MODULE]: { [MEMORY_FIELD]: owned, [POLL_FIELD]: poll }, [MACHINE_MODULE]: machine };
  const build = (wasm: Uint8Array) => new GuestBuild(compiled(wasm), imports as never, core.globalTypes);
  return { memory: owned, layout, control, plain: build(core.plainWasm), logging: build(core.logWasm) };
}

const modules = new WeakMap<Uint8Array, WebAssembly.Module>();

function compiled(wasm: Uint8Array): WebAssembly.Module {
  let module = modules.get(wasm);
  if (module === undefined) {
    module = new WebAssembly.Module(wasm as BufferSource);
    modules.set(wasm, module);
  }
  return module;
}
