/** The Tx contexts that move with a VF whose rings nobody watched, and a word about those that cannot. */
import type { DeviceContext } from '../definition.js';
import { findTxContexts } from './frozen-rings.js';
import type { TxContexts } from './save.js';

/**
 * What to hand to VfDevice.save() when the queues and the guest stand still: the contexts that the frozen rings still show. A
 * queue that waits to use one which they do not is named in the report: the destination's card will not have it.
 */
export function txContextsToMove(context: DeviceContext): TxContexts {
  const { contexts, unknown } = findTxContexts(context);
  for (const queue of unknown) {
    context.note(`Tx queue ${queue} uses a context that is no longer in its ring: it cannot be moved`);
  }
  return contexts;
}
