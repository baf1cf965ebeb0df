/**
 * packet-sink: receives test payload on port 9 at line rate, over UDP or as TCP segments, and verifies the check word
 * and the sequence of every packet. A query on port 9001 is answered with the counters (lib/counters.ts, 0 to 5);
 * a query whose first word is 1 sets them back.
 */
import { payloadCheck, CHECK_OFFSET, PAYLOAD_HEAD_BYTES } from '../lib/checksum';
import { addTo, BAD_CHECKSUM, BYTES, count, RECEIVED } from '../lib/counters';
import { printLine } from '../lib/console';
import { make } from '../lib/memory';
import { ETHERNET_BYTES, IPV4_BYTES } from '../lib/net';
import { Network } from '../lib/network';
import { allocateStreams, arrived, clearStreams, Streams } from '../lib/sequence';
import { NEVER, serve } from '../lib/serve';

const SINK_PORT: u32 = 9;

@unmanaged class Sink {
  streams: Streams;
  /** There was memory to follow sequences. */
  follows: bool;

  start(net: Network): void {
    this.streams = make<Streams>();
    this.follows = allocateStreams(this.streams);
    if (!this.follows) printLine('packet-sink: no memory to follow sequences');
  }

  @inline udp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {
    if (port == SINK_PORT) this.take(frame, payload, bytes);
  }

  tcp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {
    if (port == SINK_PORT) this.take(frame, payload, bytes);
  }

  @inline take(frame: usize, payload: usize, bytes: u32): void {
    count(RECEIVED);
    addTo(BYTES, bytes);
    if (bytes < PAYLOAD_HEAD_BYTES || load<u32>(payload, CHECK_OFFSET) != payloadCheck(payload, bytes)) {
      count(BAD_CHECKSUM);
      return;
    }
    if (!this.follows) return;
    const ip = frame + ETHERNET_BYTES;
    arrived(this.streams, load<u32>(ip, 12), <u32>load<u16>(ip + IPV4_BYTES), load<u32>(payload));
  }

  neighbour(ip: u32, mac: usize): void {}

  work(net: Network, nowNs: u64): u64 {
    return NEVER;
  }

  refreshCounters(): void {}

  resetCounters(): void {
    if (this.follows) clearStreams(this.streams);
  }
}

export function run(): u32 {
  return serve<Sink>(make<Sink>());
}
