/**
 * Guest programs that loop over packets, for tests and benchmarks: AssemblyScript, compiled when asked for.
 */
import asc from 'assemblyscript/asc';

/** Which loop the program runs: what its first configuration read returns. */
export const PACKET_LOOP = {
  sequentialStores: 0,
  randomStores: 1,
  copyAndChecksum: 2,
  bulkCopyAndChecksum: 3,
  checksumOnly: 4,
  shellSort: 5,
  fibonacci: 6,
} as const;

const SOURCE = `
@external("srvm:guest/machine@0.1.0", "pci-read")
declare function setting(slot: u32, offset: u32): u32;

const SOURCE: usize = 0x20000;
const TARGET: usize = 0xa0000;
const RING: usize = 0x10000;
const BUFFER_BYTES: usize = 2048;
const BUFFERS: u32 = 256;

function checksum(at: usize, bytes: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i + 4 <= bytes; i += 4) sum += load<u32>(at + i);
  return sum;
}

function copyWords(to: usize, from: usize, bytes: u32): void {
  for (let i: u32 = 0; i < bytes; i += 8) store<u64>(to + i, load<u64>(from + i));
}

function packets(count: u32, kind: u32): u32 {
  let sum: u32 = 0;
  for (let n: u32 = 0; n < count; n++) {
    const slot = n & (BUFFERS - 1);
    const from = SOURCE + slot * BUFFER_BYTES;
    const to = TARGET + slot * BUFFER_BYTES;
    const bytes = <u32>load<u16>(RING + slot * 16 + 12);
    if (kind == 2) copyWords(to, from, bytes);
    else if (kind == 3) memory.copy(to, from, bytes);
    sum = sum * 31 + checksum(kind == 4 ? from : to, bytes);
  }
  return sum;
}

function sequential(rounds: u32): u32 {
  for (let r: u32 = 0; r < rounds; r++) {
    for (let i: u32 = 0; i < 0x80000; i += 16) {
      store<u32>(SOURCE + i, r);
      store<u32>(SOURCE + i, r + 1, 4);
      store<u32>(SOURCE + i, r + 2, 8);
      store<u32>(SOURCE + i, r + 3, 12);
    }
  }
  return load<u32>(SOURCE);
}

function random(count: u32): u32 {
  let x: u32 = 12345;
  for (let i: u32 = 0; i < count; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    store<u32>(SOURCE + (x & 0xffffc), x);
  }
  return x;
}

function shellSort(rounds: u32): u32 {
  const n: i32 = 4096;
  let x: u32 = 1;
  for (let r: u32 = 0; r < rounds; r++) {
    for (let i: i32 = 0; i < n; i++) {
      x = x * 1664525 + 1013904223;
      store<u32>(SOURCE + (i << 2), x);
    }
    for (let gap = n >> 1; gap > 0; gap >>= 1) {
      for (let i = gap; i < n; i++) {
        const v = load<u32>(SOURCE + (i << 2));
        let j = i;
        while (j >= gap && load<u32>(SOURCE + ((j - gap) << 2)) > v) {
          store<u32>(SOURCE + (j << 2), load<u32>(SOURCE + ((j - gap) << 2)));
          j -= gap;
        }
        store<u32>(SOURCE + (j << 2), v);
      }
    }
  }
  return load<u32>(SOURCE + 400);
}

function fib(n: u32): u32 {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

export function run(): u32 {
  const kind = setting(0, 0);
  const bytes = setting(0, 4);
  const count = setting(0, 8);
  for (let slot: u32 = 0; slot < BUFFERS; slot++) store<u16>(RING + slot * 16 + 12, <u16>bytes);
  if (kind == 0) return sequential(count);
  if (kind == 1) return random(count);
  if (kind == 5) return shellSort(count);
  if (kind == 6) return fib(count);
  return packets(count, kind);
}
`;

/** The program as a core module of the guest world. */
export async function compilePacketLoops(): Promise<Uint8Array> {
  return compileAssemblyScript(SOURCE, ['--initialMemory', '20']);
}

/** Compiles one AssemblyScript source as a guest's core module. */
export async function compileAssemblyScript(
  source: string,
  options: readonly string[] = [],
): Promise<Uint8Array> {
  let wasm: Uint8Array | null = null;
  const { error, stderr } = await asc.main(
    ['guest.ts', '-O3', '--runtime', 'stub', '--use', 'abort=', '--noAssert', '-o', 'guest.wasm', ...options],
    {
      readFile: (name) => (name === 'guest.ts' ? source : null),
      writeFile: (name, contents) => {
        if (name === 'guest.wasm') wasm = contents as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  if (wasm === null)
    throw new Error(`the guest program did not compile: ${error?.message} ${stderr.toString()}`);
  return wasm;
}
