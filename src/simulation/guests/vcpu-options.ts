/** What a simulated vCPU needs besides what every vCPU's thread is handed. */
import type { VcpuThread } from '../../hypervisor/host-threads.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { CoreSpec, VirtualCore } from '../clockwork/virtual-core.js';

export interface SimulatedVcpuOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: HostTime;
  readonly speed?: number;
  readonly preempt?: CoreSpec['preempt'];
  /** A register read is about to reach the device: what it posted lands first. */
  beforeRead?(): void;
  /** A write, to a register or to configuration space, has been made: somebody's doorbell may have rung. */
  afterWrite?(): void;
}

export interface SimulatedVcpu extends VcpuThread {
  readonly core: VirtualCore;
}
