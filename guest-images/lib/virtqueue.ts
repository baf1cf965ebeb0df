/**
 * The driver's end of a split virtqueue whose every request is one descriptor with a buffer of its own.
 *
 *   descriptor i <-> buffer i;   free ones are on a stack;   given back by their number
 */
import { allocRun } from './memory';
import { barWrite, fence } from './machine';

const DESCRIPTOR_SHIFT: u32 = 4;
const FLAG_WRITE: u32 = 2;
const NO_INTERRUPT: u32 = 1;
const NO_NOTIFY: u32 = 1;

@unmanaged export class Virtqueue {
  slot: u32;
  notifyBar: u32;
  notifyAt: u32;
  index: u32;
  count: u32;
  descriptors: usize;
  available: usize;
  used: usize;
  buffers: usize;
  bufferBytes: u32;
  /** Stack of free descriptors, u16 each. */
  free: usize;
  freeCount: u32;
  /** Index of the next available entry, and as the device was told. */
  posted: u32;
  announced: u32;
  /** Index of the next used entry to look at. */
  seen: u32;
}

/** False: the guest's RAM is full. */
export function allocateQueue(queue: Virtqueue, count: u32, bufferBytes: u32): bool {
  queue.count = count;
  queue.bufferBytes = bufferBytes;
  if (queue.descriptors == 0) {
    queue.descriptors = allocRun(<usize>count << DESCRIPTOR_SHIFT);
    queue.available = allocRun(4 + (<usize>count << 1));
    queue.used = allocRun(4 + (<usize>count << 3));
    queue.free = allocRun(<usize>count << 1);
    queue.buffers = allocRun(<usize>count * bufferBytes);
  }
  return (
    queue.descriptors != 0 && queue.available != 0 && queue.used != 0 && queue.free != 0 && queue.buffers != 0
  );
}

/** Every descriptor free, rings empty. */
export function startQueue(queue: Virtqueue, forDevice: bool): void {
  const count = queue.count;
  memory.fill(queue.available, 0, 4 + (<usize>count << 1));
  memory.fill(queue.used, 0, 4 + (<usize>count << 3));
  for (let id: u32 = 0; id < count; id++) {
    const at = queue.descriptors + (<usize>id << DESCRIPTOR_SHIFT);
    store<u64>(at, <u64>bufferOf(queue, id));
    store<u32>(at, queue.bufferBytes, 8);
    store<u32>(at, forDevice ? FLAG_WRITE : 0, 12);
    store<u16>(queue.free + (<usize>id << 1), count - 1 - id);
  }
  queue.freeCount = count;
  queue.posted = queue.announced = queue.seen = 0;
}

@inline export function bufferOf(queue: Virtqueue, id: u32): usize {
  return queue.buffers + <usize>id * queue.bufferBytes;
}

/** The descriptor that post() will take; there must be one. */
@inline export function nextFree(queue: Virtqueue): u32 {
  return <u32>load<u16>(queue.free + (<usize>(queue.freeCount - 1) << 1));
}

/** Makes the next free descriptor available with so many bytes of its buffer. */
@inline export function post(queue: Virtqueue, bytes: u32): void {
  const id = nextFree(queue);
  queue.freeCount--;
  store<u32>(queue.descriptors + (<usize>id << DESCRIPTOR_SHIFT), bytes, 8);
  store<u16>(queue.available + (<usize>(queue.posted & (queue.count - 1)) << 1), id, 4);
  queue.posted = (queue.posted + 1) & 0xffff;
}

/** Tells the device of what was posted, by a register only if it wants that. */
export function announce(queue: Virtqueue): void {
  if (queue.announced == queue.posted) return;
  queue.announced = queue.posted;
  store<u16>(queue.available, queue.posted, 2);
  // the device publishes that it wants to be told, then looks at the index: one of us sees the other's
  fence();
  if ((<u32>load<u16>(queue.used) & NO_NOTIFY) == 0) barWrite(queue.slot, queue.notifyBar, queue.notifyAt, queue.index);
}

@inline export function hasUsed(queue: Virtqueue): bool {
  return <u32>load<u16>(queue.used, 2) != queue.seen;
}

/** Address of the next used entry: descriptor u32, bytes u32. There must be one. */
@inline export function takeUsed(queue: Virtqueue): usize {
  const entry = queue.used + 4 + (<usize>(queue.seen & (queue.count - 1)) << 3);
  queue.seen = (queue.seen + 1) & 0xffff;
  return entry;
}

/** The descriptor can be posted again. */
@inline export function giveFree(queue: Virtqueue, id: u32): void {
  store<u16>(queue.free + (<usize>queue.freeCount << 1), id);
  queue.freeCount++;
}

/** Interrupts for used entries. True after switching them on: there are some already. */
export function wantInterrupts(queue: Virtqueue, on: bool): bool {
  store<u16>(queue.available, on ? 0 : NO_INTERRUPT);
  if (!on) return false;
  fence();
  return hasUsed(queue);
}
