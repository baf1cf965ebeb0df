/**
 * page-dirtier: writes `rate` pages per second over a working set of `ws` bytes, and echoes meanwhile. Before a page is
 * written, what was written last is verified: a page that a migration lost is found when its turn comes again.
 *
 *   rate=1000 pages per second    ws=8M    order=random|sequential
 *
 * A page's content follows from its number and how often it was written, which a table of its own keeps.
 * Counters: 6 pages written, 7 verification errors, 8 running checksum, 9 pages of the working set, 10 pages verified,
 * 11 pages that the guest had no time for.
 */
import { numberOption, optionIs } from '../lib/cmdline';
import { print, printLine, printNumber } from '../lib/console';
import { addTo, count, setCounter } from '../lib/counters';
import { extend, make, PAGE_BYTES } from '../lib/memory';
import { Network } from '../lib/network';
import { NEVER, serve } from '../lib/serve';

const WRITTEN: usize = 6;
const ERRORS: usize = 7;
const CHECKSUM: usize = 8;
const WORKING_SET: usize = 9;
const VERIFIED: usize = 10;
const SKIPPED: usize = 11;
const BATCH: u32 = 32;
const SHORTEST_SLEEP_NS: u64 = 1_000_000;
const MOST_DEBT_NS: f64 = 100_000_000;
const GOLDEN: u64 = 0x9e3779b97f4a7c15;

@unmanaged class Dirtier {
  pages: u32;
  /** The working set. */
  base: usize;
  /** How often each page was written, u32. */
  generations: usize;
  nsPerPage: f64;
  dueNs: f64;
  cursor: u32;
  random: u64;
  sequential: bool;
  checksum: u64;

  start(net: Network): void {
    let bytes = numberOption('ws', 8 << 20) & ~(<u64>PAGE_BYTES - 1);
    while (bytes >= <u64>PAGE_BYTES && !this.take(<usize>bytes)) bytes = (bytes >> 1) & ~(<u64>PAGE_BYTES - 1);
    const rate = numberOption('rate', 1000);
    this.nsPerPage = rate == 0 || this.pages == 0 ? 0 : 1e9 / <f64>rate;
    this.sequential = optionIs('order', 'sequential');
    this.random = GOLDEN;
    print('page-dirtier: ');
    printNumber(this.pages);
    print(' pages, ');
    printNumber(rate);
    printLine(' writes a second');
    setCounter(WORKING_SET, this.pages);
  }

  take(bytes: usize): bool {
    if (bytes > 0x3fff0000) return false;
    const run = extend(bytes + (bytes / PAGE_BYTES) * 4);
    if (run == 0) return false;
    this.base = run;
    this.generations = run + bytes;
    this.pages = <u32>(bytes / PAGE_BYTES);
    return true;
  }

  work(net: Network, nowNs: u64): u64 {
    if (this.nsPerPage == 0) return NEVER;
    const now = <f64>nowNs;
    if (this.dueNs == 0) this.dueNs = now;
    const debt = now - this.dueNs - MOST_DEBT_NS;
    if (debt > 0) {
      addTo(SKIPPED, <u64>(debt / this.nsPerPage));
      this.dueNs += debt;
    }
    for (let left = BATCH; left != 0 && this.dueNs <= now; left--) {
      this.rewrite(this.next());
      this.dueNs += this.nsPerPage;
    }
    return this.dueNs <= now ? nowNs : max(<u64>this.dueNs, nowNs + SHORTEST_SLEEP_NS);
  }

  @inline next(): u32 {
    if (this.sequential) {
      const page = this.cursor;
      this.cursor = page + 1 == this.pages ? 0 : page + 1;
      return page;
    }
    let x = this.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    this.random = x;
    return <u32>(((x >> 32) * <u64>this.pages) >> 32);
  }

  rewrite(page: u32): void {
    const at = this.base + <usize>page * PAGE_BYTES;
    const counter = this.generations + (<usize>page << 2);
    const generation = load<u32>(counter);
    if (generation != 0) {
      count(VERIFIED);
      if (!holds(at, seedOf(page, generation))) count(ERRORS);
    }
    const seed = seedOf(page, generation + 1);
    store<u32>(counter, generation + 1);
    fillPage(at, seed);
    this.checksum = rotl<u64>(this.checksum, 1) ^ seed;
    count(WRITTEN);
  }

  refreshCounters(): void {
    setCounter(CHECKSUM, this.checksum);
    setCounter(WORKING_SET, this.pages);
  }

  resetCounters(): void {}
  udp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  tcp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  neighbour(ip: u32, mac: usize): void {}
}

@inline function seedOf(page: u32, generation: u32): u64 {
  const mixed = ((<u64>page << 32) | generation) * GOLDEN;
  return mixed ^ (mixed >> 29);
}

/** Word i of a page is seed + i * GOLDEN. */
function fillPage(page: usize, seed: u64): void {
  let word = seed;
  for (let at = page, end = page + PAGE_BYTES; at < end; at += 32) {
    store<u64>(at, word);
    store<u64>(at, word + GOLDEN, 8);
    store<u64>(at, word + 2 * GOLDEN, 16);
    store<u64>(at, word + 3 * GOLDEN, 24);
    word += 4 * GOLDEN;
  }
}

function holds(page: usize, seed: u64): bool {
  let word = seed;
  let difference: u64 = 0;
  for (let at = page, end = page + PAGE_BYTES; at < end; at += 32) {
    difference |= load<u64>(at) ^ word;
    difference |= load<u64>(at, 8) ^ (word + GOLDEN);
    difference |= load<u64>(at, 16) ^ (word + 2 * GOLDEN);
    difference |= load<u64>(at, 24) ^ (word + 3 * GOLDEN);
    word += 4 * GOLDEN;
  }
  return difference == 0;
}

export function run(): u32 {
  return serve<Dirtier>(make<Dirtier>());
}
