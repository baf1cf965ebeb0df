/**
 * The phases of a migration on the source, and which may follow which.
 *
 *   source                                              destination
 *   | pre-migration   parameters checked, place in queue |
 *   | reservation     ---- hello (image, RAM, plugin) -->| checks, keeps a place, begins to build the VM
 *   |                 <--- accept / refuse --------------|
 *   | pre-copy        logs on; ==== pages, round n =====>| into RAM
 *   |                 <--- round n done -----------------|
 *   |                 <--- prepared (after round 1) -----| VM built: the guest may now be stopped
 *   | stop-and-copy   vCPU paused, device quiet, last harvest
 *   |                 ==== last pages, (hashes) ========>|
 *   |                 ---- vCPU and device state, end -->| restores
 *   |                 <--- ready ------------------------|
 *   | commitment      ---- commit ---------------------->| owns the VM from here on; the source never resumes it
 *   | activation      <--- running ----------------------| guest runs, network is told
 *   | done            lets go of its VM                  |
 *
 * Every phase before commitment can fail or be cancelled; the table says how the VM is recovered from there.
 */
import { MigrationError } from './errors.js';

export type Phase =
  | { readonly phase: 'none' }
  | { readonly phase: 'pre-migration' }
  | { readonly phase: 'reservation' }
  | { readonly phase: 'pre-copy'; readonly round: number }
  | { readonly phase: 'stop-and-copy' }
  | { readonly phase: 'commitment' }
  | { readonly phase: 'activation' }
  | { readonly phase: 'done' }
  | {
      readonly phase: 'failed';
      readonly during: PhaseName;
      readonly recovery: Recovery;
      readonly error: Error;
    }
  | { readonly phase: 'cancelled'; readonly during: PhaseName; readonly recovery: Recovery };

export type PhaseName = Phase['phase'];

/** How the source gets back from a failure. */
export type Recovery =
  /** Nothing was changed yet. */
  | 'nothing-to-undo'
  /** The link is closed; the destination gives its place back. */
  | 'close-stream'
  /** Logging and tracking end, the vCPU goes back to its plain build; it never stopped. */
  | 'stop-tracking'
  /** The device goes on, the vCPU is resumed, then as in stop-tracking. */
  | 'resume-vm'
  /** COMMIT is out: whether the destination runs is not known, so this VM stays stopped. */
  | 'stay-stopped'
  /** The destination said it runs: the VM here is only let go of. */
  | 'destination-owns';

interface PhaseRule {
  readonly next: readonly PhaseName[];
  /** What a failure or a cancel in this phase does. */
  readonly recovery: Recovery;
  /** QEMU's word for query-migrate. */
  readonly status: QemuStatus;
}

export type QemuStatus = 'none' | 'setup' | 'active' | 'device' | 'completed' | 'failed' | 'cancelled';

export const PHASES: Readonly<Record<PhaseName, PhaseRule>> = {
  none: { next: ['pre-migration'], recovery: 'nothing-to-undo', status: 'none' },
  'pre-migration': {
    next: ['reservation', 'failed', 'cancelled'],
    recovery: 'nothing-to-undo',
    status: 'setup',
  },
  reservation: { next: ['pre-copy', 'failed', 'cancelled'], recovery: 'close-stream', status: 'setup' },
  'pre-copy': {
    next: ['pre-copy', 'stop-and-copy', 'failed', 'cancelled'],
    recovery: 'stop-tracking',
    status: 'active',
  },
  'stop-and-copy': { next: ['commitment', 'failed', 'cancelled'], recovery: 'resume-vm', status: 'device' },
  commitment: { next: ['activation', 'failed'], recovery: 'stay-stopped', status: 'device' },
  activation: { next: ['done', 'failed'], recovery: 'destination-owns', status: 'device' },
  done: { next: [], recovery: 'destination-owns', status: 'completed' },
  failed: { next: [], recovery: 'nothing-to-undo', status: 'failed' },
  cancelled: { next: [], recovery: 'nothing-to-undo', status: 'cancelled' },
};

export class IllegalPhaseError extends MigrationError {
  override readonly name = 'IllegalPhaseError';
  readonly from: PhaseName;
  readonly to: PhaseName;

  constructor(from: PhaseName, to: PhaseName) {
    super(
      `a migration cannot go from phase "${from}" to "${to}"; from there: ${PHASES[from].next.join(', ') || 'nothing'}`,
    );
    this.from = from;
    this.to = to;
  }
}

/** Where one migration stands. */
export class PhaseMachine {
  #now: Phase = { phase: 'none' };
  readonly #changed: (phase: Phase) => void;

  constructor(changed: (phase: Phase) => void = () => {}) {
    this.#changed = changed;
  }

  get now(): Phase {
    return this.#now;
  }

  /** The destination may own the VM: nothing may resume it here. */
  get isCommitted(): boolean {
    const { recovery } = PHASES[this.#now.phase];
    return recovery === 'stay-stopped' || recovery === 'destination-owns';
  }

  to(next: Phase): void {
    if (!PHASES[this.#now.phase].next.includes(next.phase))
      throw new IllegalPhaseError(this.#now.phase, next.phase);
    this.#now = next;
    this.#changed(next);
  }

  fail(error: Error): Recovery {
    const during = this.#now.phase;
    const { recovery } = PHASES[during];
    this.to({ phase: 'failed', during, recovery, error });
    return recovery;
  }

  cancel(): Recovery {
    const during = this.#now.phase;
    const { recovery } = PHASES[during];
    this.to({ phase: 'cancelled', during, recovery });
    return recovery;
  }
}
