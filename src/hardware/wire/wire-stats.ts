/** The counters that every wire keeps, at zero. */
import type { WireStats } from './wire.js';

export function zeroWireStats(): WireStats {
  return { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, txDropped: 0, rxDropped: 0 };
}
