/**
 * What became of numbered streams: out of order, twice, lost. One stream per source address and port.
 *
 *   seq:  ... | seen bits of the newest 65536 numbers | next expected
 *
 * A number ahead of `next` makes those between lost; one of them that arrives after all takes its loss back and counts
 * as out of order. A number behind the window, or a second 0 long after the first, is a stream that begins anew.
 */
import { addTo, count, DUPLICATES, LOST, OUT_OF_ORDER } from './counters';
import { extend } from './memory';

const WINDOW: u32 = 65536;
const WINDOW_BYTES: usize = 8192;
const TABLE_SHIFT: u32 = 10;
const TABLE_BYTES: usize = 4 << 10;
const MOST_STREAMS: u32 = 256;
const STREAM_BYTES: usize = 64;
/** Not a multiple of a page: streams at like numbers would all want the same cache set. */
const BITS_STRIDE: usize = WINDOW_BYTES + 64;
/** A second 0 this soon after the first is a duplicate. */
const RESTART_DISTANCE: u32 = 64;

@unmanaged export class Stream {
  ip: u32;
  port: u32;
  next: u32;
  /** Numbers from the first one on: what was before it was never expected. */
  span: u64;
  seen: usize;
}

@unmanaged export class Streams {
  table: usize;
  /** MOST_STREAMS of Stream, and their bits. */
  all: usize;
  bits: usize;
  used: u32;
  last: Stream;
}

/** False: no memory. */
export function allocateStreams(streams: Streams): bool {
  streams.table = extend(TABLE_BYTES);
  streams.all = extend(<usize>MOST_STREAMS * STREAM_BYTES);
  streams.bits = extend(<usize>MOST_STREAMS * BITS_STRIDE);
  return streams.table != 0 && streams.all != 0 && streams.bits != 0;
}

/** Forgets every stream; their numbers may begin anywhere. */
export function clearStreams(streams: Streams): void {
  memory.fill(streams.table, 0, TABLE_BYTES);
  streams.used = 0;
  streams.last = changetype<Stream>(0);
}

/** Counts an arrival. Port and address as they lie in the packet. */
@inline export function arrived(streams: Streams, ip: u32, port: u32, seq: u32): void {
  let stream = streams.last;
  if (changetype<usize>(stream) == 0 || stream.port != port || stream.ip != ip) {
    stream = find(streams, ip, port, seq);
    streams.last = stream;
  }
  if (stream.next == seq) {
    stream.next = seq + 1;
    stream.span++;
    const word = wordOf(stream, seq);
    store<u32>(word, load<u32>(word) | (1 << (seq & 31)));
  } else {
    unexpected(stream, seq);
  }
}

function find(streams: Streams, ip: u32, port: u32, seq: u32): Stream {
  const mask: u32 = (1 << TABLE_SHIFT) - 1;
  let index: u32 = (((ip ^ (port << 16)) * 0x9e3779b1) >> (32 - TABLE_SHIFT)) & mask;
  for (;;) {
    const entry = streams.table + (<usize>index << 2);
    const stream = changetype<Stream>(load<usize>(entry));
    if (changetype<usize>(stream) == 0) {
      // the last stream is shared by all that come too late
      if (streams.used == MOST_STREAMS) return streams.last;
      const fresh = changetype<Stream>(streams.all + <usize>streams.used * STREAM_BYTES);
      fresh.ip = ip;
      fresh.port = port;
      fresh.next = seq;
      fresh.span = 0;
      fresh.seen = streams.bits + <usize>streams.used * BITS_STRIDE;
      memory.fill(fresh.seen, 0, WINDOW_BYTES);
      streams.used++;
      store<usize>(entry, changetype<usize>(fresh));
      return fresh;
    }
    if (stream.ip == ip && stream.port == port) return stream;
    index = (index + 1) & mask;
  }
  return streams.last;
}

@inline function wordOf(stream: Stream, seq: u32): usize {
  return stream.seen + <usize>((seq & (WINDOW - 1)) >> 5 << 2);
}

function unexpected(stream: Stream, seq: u32): void {
  const ahead = seq - stream.next;
  const behind = stream.next - seq;
  const word = wordOf(stream, seq);
  const bit: u32 = 1 << (seq & 31);
  if (<i32>ahead > 0) {
    addTo(LOST, ahead);
    if (ahead >= WINDOW) memory.fill(stream.seen, 0, WINDOW_BYTES);
    else for (let skipped = stream.next; skipped != seq; skipped++) clearBit(stream, skipped);
    stream.next = seq + 1;
    stream.span += <u64>ahead + 1;
  } else if (behind > WINDOW || (seq == 0 && behind > RESTART_DISTANCE)) {
    memory.fill(stream.seen, 0, WINDOW_BYTES);
    stream.next = seq + 1;
    stream.span = 1;
  } else if ((load<u32>(word) & bit) != 0) {
    count(DUPLICATES);
  } else {
    count(OUT_OF_ORDER);
    // what came before the stream's first number was never counted as lost
    if (<u64>behind <= stream.span) addTo(LOST, -1);
  }
  store<u32>(word, load<u32>(word) | bit);
}

function clearBit(stream: Stream, seq: u32): void {
  const word = wordOf(stream, seq);
  store<u32>(word, load<u32>(word) & ~(1 << (seq & 31)));
}
