/**
 * One turn of a queue pair, as NAPI takes it: transmit completions first, then at most `budget` received packets.
 */
import { noteTurn } from './compsc-page';
import { macOf, Network, rxRing, txRing } from './network';
import { receiveFrame } from './net';
import {
  appendChain,
  bufferOf,
  ERROR_FRAME,
  recycle,
  refill,
  REFILL_BATCH,
  RX_LENGTH,
  RX_STATUS,
  rxDescriptor,
  RxRing,
  rxUnused,
  STATUS_EOP,
  touch,
} from './rx-ring';
import { isMarking } from './suspend';
import { cleanTx, flushTx } from './tx-ring';
import { COMPSC, SUSPEND } from './variant';

export const BUDGET: u32 = 64;

/** True: there may be more to do, the queue stays scheduled. */
export function pollQueue<A>(net: Network, queue: u32, app: A): bool {
  const tx = txRing(net, queue);
  const ring = rxRing(net, queue);
  const txBudget = tx.count >> 1;
  const packetsBefore = ring.packets + tx.cleaned;
  const bytesBefore = ring.bytes;
  const cleaned = cleanTx(tx);
  const received = cleanRx<A>(net, queue, ring, app);
  flushTx(tx);
  net.turnPackets += <u32>(ring.packets + tx.cleaned - packetsBefore);
  net.turnBytes += <u32>(ring.bytes - bytesBefore);
  const more = received == BUDGET || cleaned == txBudget;
  if (COMPSC && !more) noteTurn(queue);
  return more;
}

/** A slot is complete when its length is not zero; DD is not looked at. */
function cleanRx<A>(net: Network, queue: u32, ring: RxRing, app: A): u32 {
  const count = ring.count;
  let index = ring.nextToClean;
  let toRefill = rxUnused(ring);
  let received: u32 = 0;
  let bytes: u64 = 0;
  while (received < BUDGET) {
    if (toRefill >= REFILL_BATCH) {
      ring.nextToClean = index;
      refill(ring, toRefill);
      toRefill = rxUnused(ring);
    }
    const descriptor = rxDescriptor(ring, index);
    const length = <u32>load<u16>(descriptor, RX_LENGTH);
    if (length == 0) break;
    const status = load<u32>(descriptor, RX_STATUS);
    const buffer = bufferOf(ring, index);
    // what DMA wrote is written again by the vCPU, whose dirty log there is
    if (COMPSC || (SUSPEND && isMarking())) {
      touch(descriptor);
      touch(buffer);
    }
    if ((status & STATUS_EOP) == 0) {
      appendChain(ring, buffer, length);
    } else if (ring.chainBytes != 0) {
      appendChain(ring, buffer, length);
      bytes += ring.chainBytes;
      received++;
      accept<A>(net, queue, ring, app, ring.chain, ring.chainBytes, status);
      ring.chainBytes = 0;
    } else {
      bytes += length;
      received++;
      accept<A>(net, queue, ring, app, buffer, length, status);
    }
    recycle(ring, index, length);
    toRefill++;
    if (++index == count) index = 0;
  }
  ring.nextToClean = index;
  ring.packets += received;
  ring.bytes += bytes;
  return received;
}

/** Damaged frames go, and so do a sender's own broadcasts that the card's switch sent back. */
@inline function accept<A>(
  net: Network,
  queue: u32,
  ring: RxRing,
  app: A,
  frame: usize,
  bytes: u32,
  status: u32,
): void {
  if ((status & ERROR_FRAME) != 0) {
    ring.errors++;
    return;
  }
  if ((<u32>load<u8>(frame) & 1) != 0) {
    if (net.standsBy) return;
    const own = macOf(net);
    if (load<u32>(frame, 6) == load<u32>(own) && load<u16>(frame, 10) == load<u16>(own, 4)) return;
  }
  receiveFrame<A>(net, queue, app, frame, bytes, status);
}
