/**
 * A plugin that throws where a fault plan says: the real one, with a door in front of each of its methods. The VMM's own calls
 * that can be made to fail pass the same doors (sim-host.ts, hop.ts).
 *
 *   migrator -> door (throws at the nth call, once armed) -> the plugin's own method
 */
import type { PluginDefinition, Tracker } from '../../plugin/definition.js';
import type { LoadedPlugin } from '../../plugin/loader.js';
import { type PluginCall, VMM_CALLS, type VmmCall } from './fault-plan.js';

export type FaultyCall = PluginCall | VmmCall;

export const isVmmCall = (call: FaultyCall): call is VmmCall => VMM_CALLS.some((each) => each === call);

/** What an injected fault throws. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
}

export class PluginFaults {
  readonly #armed = new Map<FaultyCall, number>();
  readonly #struck: (call: FaultyCall) => void;

  /** @param struck told when a fault takes effect */
  constructor(struck: (call: FaultyCall) => void) {
    this.#struck = struck;
  }

  /** The nth call from now on throws. */
  arm(call: FaultyCall, nth: number): void {
    this.#armed.set(call, nth);
  }

  /** A call is about to be made. */
  pass(call: FaultyCall): void {
    const left = this.#armed.get(call);
    if (left === undefined) return;
    if (left > 1) {
      this.#armed.set(call, left - 1);
      return;
    }
    this.#armed.delete(call);
    this.#struck(call);
    throw new InjectedFault(`injected: ${call} throws`);
  }

  wrap(plugin: LoadedPlugin): LoadedPlugin {
    return { ...plugin, definition: this.#wrapDefinition(plugin.definition) };
  }

  #wrapDefinition(inner: PluginDefinition): PluginDefinition {
    /** The plugin gets its own tracker back, not ours. */
    const own = new WeakMap<Tracker, Tracker>();
    const ownOf = (tracker: Tracker): Tracker => own.get(tracker) ?? tracker;
    const { announce } = inner;
    return {
      ...inner,
      createTracker: async (context) => {
        this.pass('createTracker');
        const tracker = await inner.createTracker(context);
        const wrapped = this.#wrapTracker(tracker);
        own.set(wrapped, tracker);
        return wrapped;
      },
      saveDevice: (context, tracker) => {
        this.pass('saveDevice');
        return inner.saveDevice(context, ownOf(tracker));
      },
      restoreDevice: (context, state) => {
        this.pass('restoreDevice');
        return inner.restoreDevice(context, state);
      },
      rollbackDevice: (context, tracker) => {
        this.pass('rollbackDevice');
        return inner.rollbackDevice(context, ownOf(tracker));
      },
      announce: (context) => {
        this.pass('announce');
        return announce === undefined ? context.announce() : announce.call(inner, context);
      },
    };
  }

  #wrapTracker(tracker: Tracker): Tracker {
    return {
      ...(tracker.core === undefined ? {} : { core: tracker.core }),
      ...(tracker.exits === undefined ? {} : { exits: tracker.exits }),
      start: (core, exits) => {
        this.pass('start');
        return tracker.start?.(core, exits);
      },
      beforeHarvest: (core) => {
        this.pass('beforeHarvest');
        return tracker.beforeHarvest?.(core);
      },
      quiesce: (core) => {
        this.pass('quiesce');
        return tracker.quiesce(core);
      },
      stop: () => {
        this.pass('stop');
        return tracker.stop?.();
      },
      counters: () => tracker.counters?.() ?? {},
    };
  }
}
