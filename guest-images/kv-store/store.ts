/**
 * The store's memory: a hash table of chains, and a slab allocator over one run of guest memory.
 *
 *   run   | hash table | slab | slab | ...          a slab (64 KiB) is cut into chunks of one size class
 *   item  | next u32 | hash u32 | flags u32 | value bytes u32 | key bytes u16 | class u8 | - | key .. pad 4 | value |
 *
 * Chunks of a class are linked when free. Nothing is evicted: a full store refuses.
 */
import { extend } from '../lib/memory';

const SLAB_BYTES: usize = 65536;
const CLASSES: i32 = 17;
/** Two sizes for each power of two: 64, 96, 128, ... 16384. */
const SMALLEST: u32 = 64;
const LARGEST: u32 = 16384;
const ITEM_HEAD: usize = 20;
/** One bucket for so many bytes of store. */
const BYTES_PER_BUCKET: u64 = 512;

export const ITEM_FLAGS: usize = 8;
export const ITEM_VALUE_BYTES: usize = 12;
const ITEM_HASH: usize = 4;
const ITEM_KEY_BYTES: usize = 16;
const ITEM_CLASS: usize = 18;

/** Heads of the free chunks of each class. */
const freeChunks: usize = memory.data(CLASSES << 2, 8);

let buckets: usize = 0;
let bucketMask: u32 = 0;
let nextSlab: usize = 0;
let slabsEnd: usize = 0;
export let items: u32 = 0;
export let liveBytes: u64 = 0;

/** Takes memory: `wanted` bytes, or less if there is less. Returns how much it is. */
export function createStore(wanted: u64): u64 {
  let bytes = min(wanted, 0x3fff0000) & ~(<u64>SLAB_BYTES - 1);
  let run: usize = 0;
  for (; bytes >= <u64>SLAB_BYTES * 4; bytes = (bytes - (bytes >> 3)) & ~(<u64>SLAB_BYTES - 1)) {
    run = extend(<usize>bytes);
    if (run != 0) break;
  }
  if (run == 0) return 0;
  let count: u32 = 1024;
  while (<u64>count * BYTES_PER_BUCKET < bytes) count <<= 1;
  buckets = run;
  bucketMask = count - 1;
  nextSlab = run + (<usize>count << 2);
  slabsEnd = run + <usize>bytes;
  return bytes;
}

@inline function bucketOf(hash: u32): usize {
  return buckets + (<usize>(hash & bucketMask) << 2);
}

@inline export function keyOf(item: usize): usize {
  return item + ITEM_HEAD;
}

@inline export function valueOf(item: usize): usize {
  return item + ITEM_HEAD + ((<usize>load<u16>(item, ITEM_KEY_BYTES) + 3) & ~3);
}

/** FNV-1a. */
export function hashOf(key: usize, bytes: u32): u32 {
  let hash: u32 = 0x811c9dc5;
  for (let at = key, end = key + bytes; at < end; at++) hash = (hash ^ <u32>load<u8>(at)) * 0x01000193;
  return hash ^ (hash >> 15);
}

/** The item, or 0. */
export function findItem(key: usize, keyBytes: u32, hash: u32): usize {
  let item = load<usize>(bucketOf(hash));
  while (item != 0) {
    if (load<u32>(item, ITEM_HASH) == hash && <u32>load<u16>(item, ITEM_KEY_BYTES) == keyBytes) {
      if (memory.compare(keyOf(item), key, keyBytes) == 0) return item;
    }
    item = load<usize>(item);
  }
  return 0;
}

/** 64, 96, 128, 192, ...: class 2n is 64 << n, class 2n + 1 half as much again. */
@inline function classBytes(sizeClass: u32): u32 {
  const base = SMALLEST << (sizeClass >> 1);
  return (sizeClass & 1) != 0 ? base + (base >> 1) : base;
}

function classFor(bytes: u32): u32 {
  let sizeClass: u32 = 0;
  while (classBytes(sizeClass) < bytes) sizeClass++;
  return sizeClass;
}

function takeChunk(sizeClass: u32): usize {
  const list = freeChunks + (<usize>sizeClass << 2);
  if (load<usize>(list) == 0) {
    if (nextSlab + SLAB_BYTES > slabsEnd) return 0;
    const bytes = <usize>classBytes(sizeClass);
    for (let chunk = nextSlab + SLAB_BYTES - (SLAB_BYTES % bytes); chunk > nextSlab; ) {
      chunk -= bytes;
      store<usize>(chunk, load<usize>(list));
      store<usize>(list, chunk);
    }
    nextSlab += SLAB_BYTES;
  }
  const chunk = load<usize>(list);
  store<usize>(list, load<usize>(chunk));
  return chunk;
}

/** Stores a value, in place of what the key had. False: no room (and the key is gone). */
export function setItem(key: usize, keyBytes: u32, hash: u32, flags: u32, value: usize, valueBytes: u32): bool {
  removeItem(key, keyBytes, hash);
  const bytes = <u32>ITEM_HEAD + ((keyBytes + 3) & ~3) + valueBytes;
  if (bytes > LARGEST) return false;
  const sizeClass = classFor(bytes);
  const item = takeChunk(sizeClass);
  if (item == 0) return false;
  store<u32>(item, hash, ITEM_HASH);
  store<u32>(item, flags, ITEM_FLAGS);
  store<u32>(item, valueBytes, ITEM_VALUE_BYTES);
  store<u16>(item, keyBytes, ITEM_KEY_BYTES);
  store<u8>(item, sizeClass, ITEM_CLASS);
  memory.copy(keyOf(item), key, keyBytes);
  memory.copy(valueOf(item), value, valueBytes);
  const bucket = bucketOf(hash);
  store<usize>(item, load<usize>(bucket));
  store<usize>(bucket, item);
  items++;
  liveBytes += valueBytes;
  return true;
}

/** False: there was none. */
export function removeItem(key: usize, keyBytes: u32, hash: u32): bool {
  const item = findItem(key, keyBytes, hash);
  if (item == 0) return false;
  let link = bucketOf(hash);
  while (load<usize>(link) != item) link = load<usize>(link);
  store<usize>(link, load<usize>(item));
  const list = freeChunks + (<usize>load<u8>(item, ITEM_CLASS) << 2);
  store<usize>(item, load<usize>(list));
  store<usize>(list, item);
  items--;
  liveBytes -= load<u32>(item, ITEM_VALUE_BYTES);
  return true;
}

/** The chain of a bucket, for walks over everything; 0 past the last bucket or when it is empty. */
export function chainAt(index: u32): usize {
  return index > bucketMask ? 0 : load<usize>(buckets + (<usize>index << 2));
}

export function bucketCount(): u32 {
  return bucketMask + 1;
}
