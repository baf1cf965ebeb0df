/**
 * Adaptive interrupt moderation as the stock driver has it: few bytes an interrupt want low latency, many want few
 * interrupts. The interval moves a tenth of the way at each step.
 */
import { LATENCY_LOW } from './driver';
import { Network } from './network';
import { ITR_NO_DISTURB, VTEITR, writeRegister } from './vf';

const LATENCY_LOWEST: u32 = 0;
const LATENCY_BULK: u32 = 2;
/** Register units: 10, 50 and 84 us. */
const ITR_LOWEST: u32 = 40;
const ITR_LOW: u32 = 200;
const ITR_BULK: u32 = 336;

/** At the end of a queue's turn: `turnPackets` and `turnBytes` are what came since the last one. */
export function adjustModeration(net: Network, queue: u32): void {
  const interval = queue == 0 ? net.itr0 : net.itr1;
  let latency = queue == 0 ? net.latency0 : net.latency1;
  const us = interval >> 2;
  if (net.turnPackets == 0 || us == 0) return;
  const bytesPerUs = net.turnBytes / us;
  if (latency == LATENCY_LOWEST) {
    if (bytesPerUs > 10) latency = LATENCY_LOW;
  } else if (latency == LATENCY_LOW) {
    if (bytesPerUs > 20) latency = LATENCY_BULK;
    else if (bytesPerUs <= 10) latency = LATENCY_LOWEST;
  } else if (bytesPerUs <= 20) {
    latency = LATENCY_LOW;
  }
  const wanted = latency == LATENCY_LOWEST ? ITR_LOWEST : latency == LATENCY_LOW ? ITR_LOW : ITR_BULK;
  const next = interval == wanted ? wanted : (10 * wanted * interval) / (9 * wanted + interval);
  if (queue == 0) {
    net.latency0 = latency;
    net.itr0 = next;
  } else {
    net.latency1 = latency;
    net.itr1 = next;
  }
  net.turnPackets = 0;
  net.turnBytes = 0;
  if (next != interval) writeRegister(net.slot, VTEITR + (queue << 2), (next & 0xff8) | ITR_NO_DISTURB);
}
