/** A whole valid stream as frames, taken from a real source; and streams fed to a real destination. */
import { seededRandom } from '../../../src/hardware/clock.js';
import type { ByteSink, Channel } from '../../../src/migration/channel.js';
import { DestinationMigration } from '../../../src/migration/destination.js';
import { LocalDestinationStream } from '../../../src/migration/destination-stream.js';
import { DEFAULT_PARAMETERS, withParameters } from '../../../src/migration/parameters.js';
import type { Reservation } from '../../../src/migration/ports.js';
import { SourceMigration } from '../../../src/migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../../src/migration/source-stream.js';
import { FRAME_HEADER_BYTES } from '../../../src/migration/stream/frame.js';
import type { Offer } from '../../../src/migration/stream/records.js';
import { bytesOf, clock, FakeDevice, FakeHost, FakeSourceVm } from '../fake-vm.js';

export const RAM_BYTES = 1024 * 1024;

/** What a one-way source (as for a file) writes, frame by frame. */
export async function captureStream(): Promise<{ frames: Buffer[]; vm: FakeSourceVm }> {
  const vm = new FakeSourceVm(RAM_BYTES);
  const random = seededRandom(7);
  const ram = bytesOf(vm.memory);
  for (const page of [0, 1, 2, 5, 9, 100, 101, 255]) {
    for (let at = 0; at < 4096; at++) ram[page * 4096 + at] = random.nextU32();
  }
  const chunks: Buffer[] = [];
  const channel: Channel = {
    send: async (bytes) => void chunks.push(Buffer.from(bytes)),
    receive() {},
    close: async () => {},
  };
  const map = new Uint8Array(RAM_BYTES / 4096);
  const counters = new Float64Array(STREAM_COUNTERS);
  const stream = new LocalSourceStream({
    open: async () => channel,
    memory: vm.memory,
    ramBytes: RAM_BYTES,
    map,
    counters,
    clock,
    backed: null,
    batchPages: 4,
  });
  const parameters = withParameters(DEFAULT_PARAMETERS, { 'x-srvm-verify': true });
  const device = new FakeDevice(RAM_BYTES);
  const source = new SourceMigration({
    vm,
    device,
    stream: () => stream,
    map,
    counters,
    clock,
    parameters,
    oneWay: true,
  });
  const report = await source.run();
  if (report.outcome !== 'completed') throw new Error(report.error ?? 'no stream');
  return { frames: splitFrames(Buffer.concat(chunks)), vm };
}

export function splitFrames(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const frameBytes = FRAME_HEADER_BYTES + stream.readUInt32LE(at + 12);
    frames.push(stream.subarray(at, at + frameBytes));
    at += frameBytes;
  }
  return frames;
}

/** One memory for all runs: memories are freed late, and thousands of them would use up the address space. */
class ReusingHost extends FakeHost {
  #memory: WebAssembly.Memory | null = null;

  constructor() {
    super(true);
  }

  override async reserve(offer: Offer): Promise<Reservation> {
    if (offer.ramBytes !== RAM_BYTES) throw new Error('too much memory asked for');
    const reservation = await super.reserve(offer);
    this.#memory ??= reservation.memory;
    bytesOf(this.#memory).fill(0);
    return { ...reservation, memory: this.#memory };
  }

  get memory(): WebAssembly.Memory {
    return this.#memory!;
  }
}

const host = new ReusingHost();

/** Feeds bytes to a destination, in pieces of the sizes given in turn; rejects with what it makes of them. */
export async function feed(
  bytes: Uint8Array,
  pieceBytes: readonly number[] = [65536],
): Promise<WebAssembly.Memory> {
  const channel: Channel = {
    send: async () => {},
    close: async () => {},
    receive: (sink) => void deliver(sink, bytes, pieceBytes),
  };
  const destination = new DestinationMigration({
    host,
    clock,
    stream: new LocalDestinationStream({
      listen: async () => ({ address: 'test', accept: async () => channel, close: async () => {} }),
      clock,
      oneWay: true,
      silenceLimitMs: 2000,
    }),
  });
  await destination.listen();
  await destination.run();
  return host.memory;
}

async function deliver(sink: ByteSink, bytes: Uint8Array, pieceBytes: readonly number[]): Promise<void> {
  let turn = 0;
  for (let at = 0; at < bytes.length; ) {
    const space = sink.space();
    const piece = bytes.subarray(at, at + Math.min(pieceBytes[turn++ % pieceBytes.length]!, space.length));
    space.set(piece);
    at += piece.length;
    await sink.filled(piece.length);
  }
  sink.ended(null);
}
