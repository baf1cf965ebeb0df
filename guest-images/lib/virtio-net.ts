/**
 * A paravirtual network interface: the driver of a virtio 1.x network device, behind the same Network, counters and frame
 * functions as a VF's (tx-ring.ts leads here for rings without a tail register).
 *
 *   probeVirtio -> openVirtio -> (line -> pollVirtio until it says there is no more -> restVirtio)* -> closeVirtio
 *
 * Receive buffers have 2 KiB; a longer frame comes in several of them, merged here.
 */
import { print, printLine, printMac, printNumber } from './console';
import { clockNs } from './machine';
import { allocRun, make } from './memory';
import { receiveFrame } from './net';
import { ABSENT, macOf, Network, OPEN, PROBED } from './network';
import { connectVector, disableDevice, disableMsix, enableMsix } from './pci';
import { RxRing, STATUS_L4CS } from './rx-ring';
import { OFFLOAD_UDP, TxRing } from './tx-ring';
import {
  ACKNOWLEDGE,
  DRIVER,
  DRIVER_OK,
  FEATURES_OK,
  findDevice,
  largestQueue,
  NEEDS_RESET,
  negotiate,
  NO_VECTOR,
  notifyAddress,
  placeQueue,
  readDevice,
  readStatus,
  setConfigVector,
  setStatus,
  VirtioDevice,
} from './virtio-pci';
import {
  allocateQueue,
  announce,
  bufferOf,
  giveFree,
  hasUsed,
  nextFree,
  post,
  startQueue,
  takeUsed,
  Virtqueue,
  wantInterrupts,
} from './virtqueue';

const FEATURE_CSUM: u32 = 1 << 0;
const FEATURE_GUEST_CSUM: u32 = 1 << 1;
const FEATURE_MAC: u32 = 1 << 5;
const FEATURE_MERGEABLE: u32 = 1 << 15;
const FEATURE_STATUS: u32 = 1 << 16;
const WANTED: u32 = FEATURE_CSUM | FEATURE_GUEST_CSUM | FEATURE_MAC | FEATURE_MERGEABLE | FEATURE_STATUS;

const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;
const CONFIG_VECTOR: u32 = 0;
const RECEIVE_VECTOR: u32 = 1;
const HEADER_BYTES: u32 = 12;
const NEEDS_CHECKSUM: u32 = 1;
const DATA_VALID: u32 = 2;
const BUFFER_BYTES: u32 = 2048;
const LARGE_BUFFER_BYTES: u32 = 10240;
/** Up to this MTU a frame with its header fits a buffer. */
const BUFFER_MTU: u32 = 2000;
const CHAIN_BYTES: u32 = 16384;
const BUDGET: u32 = 64;
const UDP_CHECKSUM_START: u32 = 34;
const UDP_CHECKSUM_OFFSET: u32 = 6;
const LINK_UP: u32 = 1 << 16;

/** Lines of its vectors: other than a VF's, so that one guest can have both. */
export const VIRTIO_CONFIG_LINE: u32 = 8;
export const VIRTIO_LINE: u32 = 9;

@unmanaged export class VirtioNet {
  device: VirtioDevice;
  rx: Virtqueue;
  tx: Virtqueue;
  chain: usize;
}

/** A virtio interface without a device yet. */
export function makeVirtioNetwork(): Network {
  const net = make<Network>();
  net.rx0 = make<RxRing>();
  net.rx1 = make<RxRing>();
  net.tx0 = make<TxRing>();
  net.tx1 = make<TxRing>();
  const virtio = make<VirtioNet>();
  virtio.device = make<VirtioDevice>();
  virtio.rx = make<Virtqueue>();
  virtio.tx = make<Virtqueue>();
  virtio.chain = allocRun(CHAIN_BYTES);
  net.tx0.watch = changetype<usize>(virtio);
  return net;
}

/** Its own state is where a VF's ring keeps its watched slots. */
@inline function virtioOf(ring: TxRing): VirtioNet {
  return changetype<VirtioNet>(ring.watch);
}

// --- life -----------------------------------------------------------------------------------------------------------

/** Looks for a device and agrees with it. False: there is none, or it is not to be understood. */
export function probeVirtio(net: Network): bool {
  const device = virtioOf(net.tx0).device;
  if (!findDevice(device) || !negotiate(device, WANTED)) return false;
  net.slot = device.slot;
  net.queues = 1;
  net.permanentLow = readDevice(device, 0);
  net.permanentHigh = readDevice(device, 4) & 0xffff;
  net.macLow = net.permanentLow;
  net.macHigh = net.permanentHigh;
  net.state = PROBED;
  print('virtio: slot ');
  printNumber(net.slot);
  print(', address ');
  printMac(macOf(net));
  print(', features ');
  printNumber(device.features);
  printLine('');
  return true;
}

/** Brings the interface up; its vectors go to VIRTIO_CONFIG_LINE and VIRTIO_LINE. False: no memory, or no MSI-X. */
export function openVirtio(net: Network): bool {
  const virtio = virtioOf(net.tx0);
  const device = virtio.device;
  if (enableMsix(net.slot) <= RECEIVE_VECTOR) return false;
  const large = net.mtu > BUFFER_MTU;
  if (!openQueue(virtio, virtio.rx, RECEIVE, net.rxCount, BUFFER_BYTES, RECEIVE_VECTOR)) return false;
  const sendBytes = large ? LARGE_BUFFER_BYTES : BUFFER_BYTES;
  if (!openQueue(virtio, virtio.tx, TRANSMIT, net.txCount, sendBytes, NO_VECTOR)) return false;
  setConfigVector(device, CONFIG_VECTOR);
  connectVector(net.slot, CONFIG_VECTOR, VIRTIO_CONFIG_LINE);
  connectVector(net.slot, RECEIVE_VECTOR, VIRTIO_LINE);
  // what was sent is looked for when something is sent, or received
  wantInterrupts(virtio.tx, false);
  setStatus(device, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  const rx = virtio.rx;
  while (rx.freeCount != 0) post(rx, rx.bufferBytes);
  announce(rx);
  net.state = OPEN;
  net.opens++;
  checkLink(net);
  return true;
}

function openQueue(virtio: VirtioNet, queue: Virtqueue, index: u32, wanted: u32, bufferBytes: u32, vector: u32): bool {
  const device = virtio.device;
  const most = largestQueue(device, index);
  if (most == 0) return false;
  // the largest power of two that both sides allow
  const count: u32 = 1 << (31 - clz<u32>(min(wanted, most)));
  if (!allocateQueue(queue, count, bufferBytes)) {
    printLine('virtio: no memory for rings and buffers');
    return false;
  }
  startQueue(queue, index == RECEIVE);
  queue.slot = device.slot;
  queue.index = index;
  queue.notifyBar = device.notifyBar;
  placeQueue(device, index, count, vector, queue.descriptors, queue.available, queue.used);
  queue.notifyAt = notifyAddress(device, index);
  return true;
}

/** Takes the interface down; it may be opened again. */
export function closeVirtio(net: Network): void {
  const device = virtioOf(net.tx0).device;
  net.linkUp = false;
  net.state = negotiate(device, WANTED) ? PROBED : ABSENT;
}

/** The device is left alone: no messages, no bus mastering. */
export function removeVirtio(net: Network): void {
  disableMsix(net.slot);
  disableDevice(net.slot);
  net.state = ABSENT;
  net.slot = 0;
}

/** The configuration line: link, or a device that wants to be reset. */
export function serviceVirtio(net: Network): void {
  if ((readStatus(virtioOf(net.tx0).device) & NEEDS_RESET) != 0) net.resetWanted = true;
  checkLink(net);
}

function checkLink(net: Network): void {
  const device = virtioOf(net.tx0).device;
  const up = (device.features & FEATURE_STATUS) == 0 || (readDevice(device, 4) & LINK_UP) != 0;
  if (up == net.linkUp) return;
  net.linkUp = up;
  net.linkChanges++;
  printLine(up ? 'virtio: link up' : 'virtio: link down');
}

// --- turns ----------------------------------------------------------------------------------------------------------

/** One turn: what was sent is freed, at most 64 frames are received. True: there may be more. */
export function pollVirtio<A>(net: Network, app: A): bool {
  const virtio = virtioOf(net.tx0);
  wantInterrupts(virtio.rx, false);
  cleanSent(net.tx0, virtio.tx);
  const received = receiveAll<A>(net, virtio, app);
  announce(virtio.rx);
  virtioFlush(net.tx0);
  return received == BUDGET;
}

/** The queue is empty: interrupts on. True: something came meanwhile. */
export function restVirtio(net: Network): bool {
  return wantInterrupts(virtioOf(net.tx0).rx, true);
}

function receiveAll<A>(net: Network, virtio: VirtioNet, app: A): u32 {
  const queue = virtio.rx;
  const ring = net.rx0;
  let received: u32 = 0;
  while (received < BUDGET && hasUsed(queue)) {
    const entry = takeUsed(queue);
    const id = load<u32>(entry);
    const bytes = load<u32>(entry, 4) - HEADER_BYTES;
    const buffer = bufferOf(queue, id);
    const flags = <u32>load<u8>(buffer);
    const pieces = <u32>load<u16>(buffer, 10);
    let frame = buffer + HEADER_BYTES;
    let length = bytes;
    if (pieces > 1) {
      length = merge(queue, virtio.chain, frame, bytes, pieces);
      frame = virtio.chain;
    }
    received++;
    ring.packets++;
    ring.bytes += length;
    // what another guest of this host did not sum was never on a wire; what the device verified is not verified again
    const status: u32 = (flags & (NEEDS_CHECKSUM | DATA_VALID)) != 0 ? STATUS_L4CS : 0;
    const isForAll = (<u32>load<u8>(frame) & 1) != 0;
    if (!isForAll || !net.standsBy) receiveFrame<A>(net, 0, app, frame, length, status);
    giveFree(queue, id);
    post(queue, queue.bufferBytes);
  }
  return received;
}

/** The other pieces of a frame, behind the first, in one place. They come together. */
function merge(queue: Virtqueue, chain: usize, first: usize, firstBytes: u32, pieces: u32): u32 {
  memory.copy(chain, first, firstBytes);
  let length = firstBytes;
  for (let piece: u32 = 1; piece < pieces; piece++) {
    const entry = takeUsed(queue);
    const id = load<u32>(entry);
    const bytes = min(load<u32>(entry, 4), CHAIN_BYTES - length);
    memory.copy(chain + length, bufferOf(queue, id), bytes);
    length += bytes;
    giveFree(queue, id);
    post(queue, queue.bufferBytes);
  }
  return length;
}

function cleanSent(ring: TxRing, queue: Virtqueue): void {
  while (hasUsed(queue)) {
    giveFree(queue, load<u32>(takeUsed(queue)));
    ring.cleaned++;
  }
}

// --- what tx-ring.ts leads here -------------------------------------------------------------------------------------

// @ts-ignore: decorator
@global function virtioPacketBuffer(ring: TxRing): usize {
  const queue = virtioOf(ring).tx;
  if (queue.freeCount == 0) {
    virtioFlush(ring);
    cleanSent(ring, queue);
    if (queue.freeCount == 0) {
      ring.busy++;
      return 0;
    }
  }
  return bufferOf(queue, nextFree(queue)) + HEADER_BYTES;
}

// @ts-ignore: decorator
@global function virtioSendPacket(ring: TxRing, length: u32, offload: u32): void {
  const queue = virtioOf(ring).tx;
  const header = bufferOf(queue, nextFree(queue));
  store<u64>(header, 0);
  store<u32>(header, 0, 8);
  if (offload == OFFLOAD_UDP) {
    store<u8>(header, NEEDS_CHECKSUM);
    store<u16>(header, UDP_CHECKSUM_START, 6);
    store<u16>(header, UDP_CHECKSUM_OFFSET, 8);
  }
  post(queue, HEADER_BYTES + length);
  ring.packets++;
  ring.bytes += length;
  ring.posted++;
  if (++ring.waiting >= max(ring.batch, 1)) virtioFlush(ring);
}

// @ts-ignore: decorator
@global function virtioFlush(ring: TxRing): void {
  ring.waiting = 0;
  announce(virtioOf(ring).tx);
}
