/** What must hold whatever happens. Each promise is a file of its own; a broken one is told with `world.broken`. */
import type { VirtualMachine } from '../../../hypervisor/vm.js';
import type { DestinationPhase } from '../../../migration/destination.js';
import type { Phase } from '../../../migration/phases.js';
import type { Hop } from '../hop.js';
import type { World } from '../world.js';

export interface WorldPromise {
  readonly name: string;
  /** After every event and step: cheap. */
  afterEvent?(world: World): void;
  atPhase?(world: World, hop: Hop, phase: Phase): void;
  atDestinationPhase?(world: World, hop: Hop, phase: DestinationPhase): void;
  /** The engine has taken both logs, the tracker's and the vCPU's, one byte per page. */
  atHarvest?(world: World, hop: Hop, dma: Uint8Array, cpu: Uint8Array): void;
  /** All pages are at the destination, nothing was restored there yet. */
  atArrival?(world: World, hop: Hop, vm: VirtualMachine): void;
  /** Both ends of a migration have ended; the guest goes on. */
  afterHop?(world: World, hop: Hop): void;
  /** The guest has had time since: under traffic that comes from living peers. */
  afterSettling?(world: World, hop: Hop): void;
  /** Everything was closed. */
  atEnd?(world: World): void;
}
