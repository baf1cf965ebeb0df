/**
 * What the wires themselves carry: the generator and the sink in one thread, and a Unix stream between two processes,
 * next to the same socket with raw 64 KiB writes. The receiver is the generator's pace: refused frames wait.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { realClock } from '../../src/hardware/clock.js';
import { FrameGenerator } from '../../src/hardware/wire/generator.js';
import { FrameSinkStats } from '../../src/hardware/wire/sink.js';
import { StreamWire } from '../../src/hardware/wire/stream.js';
import type { FrameSink } from '../../src/hardware/wire/wire.js';
import type { Benchmark, BenchRow } from '../../src/measure/benchmark.js';
import { rowOf } from '../../src/measure/benchmark.js';

const PEER = fileURLToPath(new URL('./wire-peer.js', import.meta.url));
const RUNS = 5;
const RUN_MS = 400;
const RAW_BYTES = 64 * 1024;
const CRC_BYTES = 4;
const LENGTH_BYTES = 4;

function generatorOf(frameBytes: number): FrameGenerator {
  return new FrameGenerator({
    clock: realClock,
    sourceMac: '52:54:00:00:00:01',
    targetMac: '52:54:00:00:00:02',
    sourceIp: '10.0.0.1',
    targetIp: '10.0.0.2',
    frameBytes,
  });
}

/** Nanoseconds per frame of pulling frames into a sink. */
function pull(frameBytes: number, sink: FrameSink): number[] {
  const generator = generatorOf(frameBytes);
  const samples: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const startMs = performance.now();
    let frames = 0;
    while (performance.now() - startMs < RUN_MS / 8) frames += generator.receive(sink, 1024);
    // The first run warms up.
    if (run > 0) samples.push(((performance.now() - startMs) * 1e6) / frames);
  }
  return samples;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What the peer counted per second, while `push` is called again and again with the event loop's turns between. */
async function throughput(kind: string, open: (path: string) => Promise<() => void>): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'srvm-bench-'));
  const path = join(folder, 'p.sock');
  const peer = fork(PEER, [kind, path]);
  const heard = (): Promise<unknown> => new Promise((resolve) => peer.once('message', resolve));
  const count = async (): Promise<number> => {
    const reply = heard();
    peer.send('count');
    return ((await reply) as { count: number }).count;
  };
  try {
    await heard();
    const push = await open(path);
    const samples: number[] = [];
    for (let run = 0; run <= RUNS; run++) {
      const before = await count();
      const startMs = performance.now();
      while (performance.now() - startMs < RUN_MS) {
        push();
        await turn();
      }
      const after = await count();
      if (run > 0) samples.push(((after - before) * 1e3) / (performance.now() - startMs));
    }
    return samples;
  } finally {
    peer.send('end');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function framesOverStream(frameBytes: number): Promise<number[]> {
  let wire: StreamWire | null = null;
  const samples = await throughput('frames', async (path) => {
    const opened = new StreamWire({ address: { kind: 'unix', path }, server: false });
    wire = opened;
    while (!opened.linkUp) await pause(1);
    const generator = generatorOf(frameBytes);
    const sink: FrameSink = (bytes, offset, length) => opened.transmit(bytes, offset, length);
    return () => {
      generator.receive(sink, 256);
      opened.flush();
    };
  });
  await (wire as StreamWire | null)?.close();
  return samples;
}

async function rawStream(): Promise<number[]> {
  const chunk = Buffer.alloc(RAW_BYTES);
  return throughput('raw', async (path) => {
    const socket = connect({ path });
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    return () => {
      while (socket.writableLength === 0) socket.write(chunk);
    };
  });
}

async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const nothing: FrameSink = () => true;
  for (const frameBytes of [64, 1500]) {
    rows.push(rowOf(`generator, ${frameBytes} B, ns/frame`, pull(frameBytes, nothing)));
    const sink = new FrameSinkStats(realClock);
    rows.push(
      rowOf(`generator and verifying sink, ${frameBytes} B, ns/frame`, pull(frameBytes, sink.accept)),
    );
  }
  const raw = await rawStream();
  const large = await framesOverStream(1500);
  const small = await framesOverStream(64);
  const recordBytes = 1500 - CRC_BYTES + LENGTH_BYTES;
  const rawFrames = raw.map((bytes) => bytes / recordBytes);
  rows.push(
    rowOf('raw Unix socket between processes, as 1500 B frames/s', rawFrames),
    rowOf('stream wire between processes, 1500 B, frames/s', large, { atLeast: 300_000 }),
    rowOf(
      'stream wire / raw socket',
      large.map((value, index) => value / rawFrames[index]!),
    ),
    rowOf('stream wire between processes, 64 B, frames/s', small),
  );
  return rows;
}

export const benchmark: Benchmark = {
  name: 'wires',
  what: 'generator, sink and the stream wire between two processes',
  run,
};
