/**
 * One VF through a migration, for any plugin: stop, save, go on; and at the other end, restore. A plugin whose method
 * needs nothing special uses it as it is.
 */
import type { DeviceContext } from '../definition.js';
import type { StateFields, StateValue } from '../device-view.js';
import { type RunningQueues, runningQueues, startQueues, stopQueues } from './queues.js';
import { REG } from './registers.js';
import { restoreVf } from './restore.js';
import { noTxContexts, saveVf, type TxContexts } from './save.js';

export class VfDevice {
  readonly #context: DeviceContext;
  #stopped: RunningQueues | null = null;

  constructor(context: DeviceContext) {
    this.#context = context;
  }

  /** Stops all queues; when it resolves, the VF writes no memory any more. */
  async quiesce(): Promise<void> {
    this.#stopped ??= runningQueues(this.#context);
    await stopQueues(this.#context);
  }

  /** Only after quiesce(). `contexts`: the Tx contexts that were seen, if anyone looked. */
  save(contexts: TxContexts = noTxContexts): StateFields {
    if (this.#stopped === null)
      throw new Error('a VF is saved after quiesce(), not before: its heads still move');
    return saveVf(this.#context, this.#stopped, contexts);
  }

  /** Lets the queues that ran go on. Does nothing when quiesce() was not called. */
  async resume(): Promise<void> {
    const stopped = this.#stopped;
    if (stopped === null) return;
    await startQueues(this.#context, stopped);
    this.#stopped = null;
    // whatever completed around the stop is looked at: a spurious interrupt is harmless
    this.#context.bar0.write32(REG.VTEICS, this.#context.bar0.read32(REG.VTEIMS) & 7);
  }

  /** Destination: a fresh VF becomes the saved one. The fields are hostile until checked. */
  static restore(context: DeviceContext, state: StateValue): Promise<void> {
    return restoreVf(context, state);
  }
}
