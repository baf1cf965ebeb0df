/**
 * kv-store: a memcached-style store over UDP port 11211 (protocol.ts) in its own heap (store.ts).
 *
 *   store=64M    memory of the store
 *   fill=32M     values of 1000 bytes that are there from the start: keys fill:00000000, fill:00000001, ...
 *   scrub=1000   values per second that are verified in the background
 *
 * Counters: 0 requests, 1 their bytes, 2 checksums that were wrong, 6 sets, 7 gets, 8 hits, 9 deletes, 10 items,
 * 11 bytes of their values, 12 sets without room, 13 values scrubbed.
 */
import { dataCheck } from '../lib/checksum';
import { numberOption } from '../lib/cmdline';
import { print, printLine, printNumber } from '../lib/console';
import { BAD_CHECKSUM, count, setCounter } from '../lib/counters';
import { allocRun, freeRun, make, PAGE_BYTES } from '../lib/memory';
import { replyBuffer, sendReply, UDP_PAYLOAD_AT } from '../lib/net';
import { Network } from '../lib/network';
import { NEVER, serve } from '../lib/serve';
import { answerRequest } from './protocol';
import {
  bucketCount,
  chainAt,
  createStore,
  hashOf,
  ITEM_FLAGS,
  ITEM_VALUE_BYTES,
  items,
  liveBytes,
  setItem,
  valueOf,
} from './store';

const PORT: u32 = 11211;
const ITEMS: usize = 10;
const LIVE_BYTES: usize = 11;
const SCRUBBED: usize = 13;
const FILL_VALUE_BYTES: u32 = 1000;
const FILL_KEY_BYTES: u32 = 13;
const IP_AND_UDP_BYTES: u32 = 28;
const SCRUB_INTERVAL_NS: u64 = 5_000_000;
const BUCKETS_AT_ONCE: u32 = 4096;

@unmanaged class KvStore {
  /** Next bucket to scrub, and how many values a scrub may look at. */
  bucket: u32;
  perScrub: u32;
  nextScrubNs: u64;

  start(net: Network): void {
    const bytes = createStore(numberOption('store', 64 << 20));
    if (bytes == 0) printLine('kv-store: no memory for the store');
    else fill(numberOption('fill', 0));
    this.perScrub = <u32>((numberOption('scrub', 0) * SCRUB_INTERVAL_NS + 999_999_999) / 1_000_000_000);
    print('kv-store: ');
    printNumber(bytes >> 20);
    print(' MiB, ');
    printNumber(items);
    printLine(' items');
  }

  @inline udp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {
    if (port != PORT) return;
    const target = replyBuffer(net, queue);
    if (target == 0) return;
    const answered = answerRequest(payload, bytes, target + UDP_PAYLOAD_AT, net.mtu - IP_AND_UDP_BYTES);
    if (answered != 0) sendReply(net, queue, target, frame, answered);
  }

  work(net: Network, nowNs: u64): u64 {
    if (this.perScrub == 0) return NEVER;
    if (nowNs < this.nextScrubNs) return this.nextScrubNs;
    this.nextScrubNs = nowNs + SCRUB_INTERVAL_NS;
    this.scrub();
    return this.nextScrubNs;
  }

  scrub(): void {
    let bucket = this.bucket;
    let left = this.perScrub;
    for (let looked: u32 = 0; left != 0 && looked < BUCKETS_AT_ONCE; looked++) {
      for (let item = chainAt(bucket); item != 0; item = load<usize>(item)) {
        if (dataCheck(valueOf(item), load<u32>(item, ITEM_VALUE_BYTES)) != load<u32>(item, ITEM_FLAGS)) count(BAD_CHECKSUM);
        count(SCRUBBED);
        if (left != 0) left--;
      }
      bucket = bucket + 1 == bucketCount() ? 0 : bucket + 1;
    }
    this.bucket = bucket;
  }

  refreshCounters(): void {
    setCounter(ITEMS, items);
    setCounter(LIVE_BYTES, liveBytes);
  }

  resetCounters(): void {
    this.refreshCounters();
  }

  tcp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  neighbour(ip: u32, mac: usize): void {}
}

/** Values whose words count on from their number. */
function fill(bytes: u64): void {
  const scratch = allocRun(PAGE_BYTES);
  if (scratch == 0) return;
  const value = scratch + 64;
  store<u32>(scratch, 0x6c6c6966);
  store<u8>(scratch, 58, 4);
  const wanted = <u32>(bytes / FILL_VALUE_BYTES);
  for (let number: u32 = 0; number < wanted; number++) {
    for (let digit: u32 = 0; digit < 8; digit++) {
      const nibble = (number >> ((7 - digit) << 2)) & 15;
      store<u8>(scratch + 5 + digit, nibble < 10 ? 48 + nibble : 87 + nibble);
    }
    for (let at: u32 = 0; at < FILL_VALUE_BYTES; at += 4) store<u32>(value + at, (number * 0x9e3779b1) + at);
    const check = dataCheck(value, FILL_VALUE_BYTES);
    if (!setItem(scratch, FILL_KEY_BYTES, hashOf(scratch, FILL_KEY_BYTES), check, value, FILL_VALUE_BYTES)) break;
  }
  freeRun(scratch, PAGE_BYTES);
}

export function run(): u32 {
  return serve<KvStore>(make<KvStore>());
}
