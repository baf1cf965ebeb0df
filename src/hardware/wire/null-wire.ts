/** A port with no cable: nothing arrives, what is transmitted is lost and counted. */
import type { Wire } from './wire.js';
import { zeroWireStats } from './wire-stats.js';

export class NullWire implements Wire {
  readonly stats = zeroWireStats();
  readonly linkUp = false;
  onWake: (() => void) | null = null;

  receive(): number {
    return 0;
  }

  transmit(): boolean {
    this.stats.txDropped++;
    return false;
  }

  flush(): void {}

  async close(): Promise<void> {}
}
