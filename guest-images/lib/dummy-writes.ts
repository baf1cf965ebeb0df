/** Dummy writes: what DMA wrote is read and written back as it is, so that the vCPU's dirty log has it. */
import { Network, rxRing, txRing } from './network';
import { touchRing } from './rx-ring';
import { touchTxRing } from './tx-ring';

/** What DMA wrote and nobody will look at any more. */
export function touchRings(net: Network): void {
  for (let queue: u32 = 0; queue < net.queues; queue++) {
    touchRing(rxRing(net, queue));
    touchTxRing(txRing(net, queue));
  }
}
