/**
 * A guest that does what its command line's first byte says; and the means to run it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { loadComponent } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { realClock, realTimers } from '../../src/hardware/clock.js';
import { ComponentVcpu } from '../../src/machine/component-vcpu.js';
import { layoutFor, type MemoryLayout, MIN_RAM_BYTES, VCPU_STACK_MB } from '../../src/machine/layout.js';
import { createMemory, writeBootState } from '../../src/machine/memory.js';
import { VcpuControl, type VcpuPhase } from '../../src/machine/vcpu-control.js';
import type { VcpuEvent } from '../../src/machine/vcpu-events.js';
import type { VcpuState } from '../../src/machine/vcpu-state.js';
import { componentOf } from '../guest/component.js';
import { compileAssemblyScript } from '../guest/packet-loops.js';

/** Where the guest counts and mixes; all below 1 MiB. */
export const GUEST = { counter: 0x10000, release: 0x10004, table: 0x20000, tableBytes: 0x40000 } as const;

const SOURCE = `
@external("srvm:guest/machine@0.1.0", "bar-read") declare function barRead(slot: u32, bar: u32, offset: u32): u32;
@external("srvm:guest/machine@0.1.0", "wait-for-interrupt") declare function wait(timeoutUs: u32): u32;
@external("srvm:guest/machine@0.1.0", "console-write") declare function put(byte: u32): void;
@external("srvm:guest/machine@0.1.0", "command-line") declare function option(index: u32): u32;
@external("srvm:guest/machine@0.1.0", "clock-ns") declare function clockNs(): u64;

let mixed: u32 = 1;

function say(text: string): void {
  for (let i = 0; i < text.length; i++) put(text.charCodeAt(i));
  put(10);
}

/** Rounds of mixing a table: never the same state twice, a result that any lost store would change. */
function mix(rounds: u32): u32 {
  for (let r: u32 = 0; r < rounds; r++) {
    for (let at: u32 = 0; at < 0x40000; at += 4) {
      mixed = mixed * 1664525 + load<u32>(0x20000 + at) + r;
      store<u32>(0x20000 + ((mixed >> 8) & 0x3fffc), mixed);
    }
    store<u32>(0x10000, r + 1);
  }
  return mixed;
}

/** The second half when a word was set: whoever is slow finds the guest still there. */
function mixInHalves(rounds: u32): u32 {
  mix(rounds / 2);
  while (atomic.load<u32>(0x10004) == 0) {}
  return mix(rounds / 2);
}

function spin(): u32 {
  for (;;) store<u32>(0x10000, load<u32>(0x10000) + 1);
  return 0;
}

/** Says each set of interrupt lines; ends at line 31. */
function interrupts(): u32 {
  let n: u32 = 0;
  for (;;) {
    const lines = wait(0xffffffff);
    store<u32>(0x10000, load<u32>(0x10000) + 1);
    if (lines & 0x80000000) return n;
    for (let line = 0; line < 31; line++) if ((lines >> line) & 1) { n++; say("line " + String.fromCharCode(97 + line)); }
  }
  return 0;
}

function deep(n: u32): u32 {
  return n == 0 ? 0 : deep(n - 1) * 3 + load<u32>(n & 0xfffc);
}

/** Goes down, waits there for a word to be set, and mixes on the way up. */
function dive(depth: u32, a: u32, b: u32): u32 {
  store<u32>(0x10000, depth);
  if (depth == 0) {
    while (atomic.load<u32>(0x10004) == 0) {}
    return 7;
  }
  const c = a * 31 + b;
  const below = dive(depth - 1, c ^ depth, a + depth);
  return below * 31 + a * 3 + b * 5 + c * 7 + depth;
}

/** Bursts of stores with a count in each page, so that a stale copy shows. */
function writePages(): u32 {
  let n: u32 = 0;
  for (;;) {
    n++;
    const page = (n * 2654435761) >> 24;
    store<u32>(0x100000 + (page << 12) + ((n & 255) << 2), n);
    store<u32>(0x10000, n);
  }
  return 0;
}

export function run(): u32 {
  say("up");
  const mode = option(0);
  if (mode == 0x6d) return mix(1000); // m
  if (mode == 0x68) return mixInHalves(1000); // h
  if (mode == 0x73) return spin(); // s
  if (mode == 0x69) return interrupts(); // i
  if (mode == 0x77) return writePages(); // w
  if (mode == 0x74) { store<u32>(0x7fffff00, 1); return 0; } // t: outside of all memory
  if (mode == 0x64) return deep(10000000); // d
  if (mode == 0x6e) return dive(3000, 1, 2); // n
  if (mode == 0x62) return barRead(1, 0, 8); // b
  if (mode == 0x67) { const old = memory.grow(3); return (old << 16) | memory.size(); } // g
  if (mode == 0x63) { const a = clockNs(); wait(2000); return clockNs() - a >= 1500000 ? 1 : 2; } // c
  if (mode == 0x70) { put(0x70); for (;;) wait(0xffffffff); } // p: an unfinished line
  return option(0x7fffffff);
}
`;

let image: Promise<LoadedImage> | null = null;

/** Built once in each test process. */
export function testImage(): Promise<LoadedImage> {
  image ??= buildTestImage();
  return image;
}

async function buildTestImage(): Promise<LoadedImage> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'srvm-test-image-'));
  try {
    const component = await componentOf(await compileAssemblyScript(SOURCE, ['--enable', 'threads']));
    return await loadComponent(component, 'test-guest', { ramBytes: MIN_RAM_BYTES, cacheDir });
  } finally {
    await rm(cacheDir, { recursive: true, force: true });
  }
}

export interface TestVm {
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly control: VcpuControl<VcpuState>;
  readonly console: string[];
  readonly worker: Worker;
  /** Resolves when the vCPU halts, traps or is stopped. */
  over(): Promise<VcpuPhase>;
  end(): Promise<void>;
}

/** A VM whose vCPU is prepared and held; booted when a command line is given. */
export async function startVm(commandLine: string | null): Promise<TestVm> {
  const loaded = await testImage();
  const layout = layoutFor(loaded.ramBytes);
  const memory = createMemory(layout);
  const lines: string[] = [];
  let settle: (phase: VcpuPhase) => void = () => {};
  const ended = new Promise<VcpuPhase>((resolve) => {
    settle = resolve;
  });
  const compile = (wasm: Uint8Array) => WebAssembly.compile(wasm as BufferSource);
  const control = new VcpuControl(new ComponentVcpu(loaded, memory, compile), memory, realTimers, {
    onPhase: (phase) => {
      if (phase.kind === 'halted' || phase.kind === 'trapped' || phase.kind === 'stopped') settle(phase);
    },
    onConsole: (line) => lines.push(line),
  });
  if (commandLine !== null) writeBootState(memory, loaded, commandLine, realClock.nowNs());
  const { port1, port2 } = new MessageChannel();
  port1.on('message', (event: VcpuEvent) => control.receive(event));
  const worker = new Worker(new URL('./vcpu-worker.js', import.meta.url), {
    workerData: { image: loaded, memory, port: port2 },
    transferList: [port2],
    resourceLimits: { stackSizeMb: VCPU_STACK_MB },
  });
  await control.prepared;
  return {
    memory,
    layout,
    bytes: new Uint8Array(memory.buffer),
    words: new Int32Array(memory.buffer),
    control,
    console: lines,
    worker,
    over: () => ended,
    async end() {
      await control.stop();
      await worker.terminate();
      port1.close();
    },
  };
}

/** Copies what a migration's pages carry: guest RAM. */
export function copyRam(from: TestVm, to: TestVm): void {
  to.bytes.set(from.bytes.subarray(0, from.layout.ramBytes));
}
