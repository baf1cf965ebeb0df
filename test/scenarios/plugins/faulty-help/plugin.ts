/**
 * A guest-assisted method that goes wrong where it is told to: it throws when the named step has been taken, so that as much as
 * possible has to be undone.
 */
import { definePlugin, type PluginDefinition, type Tracker, type TrackerContext } from 'srvm/plugin';
import compsc from '../../../../plugins/compsc/plugin.js';
import dnis from '../../../../plugins/dnis/plugin.js';
import suspend from '../../../../plugins/vf-suspend/plugin.js';

const METHODS: Readonly<Record<string, PluginDefinition>> = {
  compsc: compsc as unknown as PluginDefinition,
  'vf-suspend': suspend as unknown as PluginDefinition,
  dnis: dnis as unknown as PluginDefinition,
};
const PLACES = ['', 'createTracker', 'start', 'beforePause', 'quiesce', 'saveDevice', 'restoreDevice'];
type Options = TrackerContext['options'];

const methodOf = (options: Options): PluginDefinition => METHODS[options['method']!]!;

function happen(options: Options, place: string): void {
  if (options['throw-in'] === place) throw new Error(`thrown in ${place}, as asked for`);
}

class FaultyTracker implements Tracker {
  readonly inner: Tracker;
  readonly #options: Options;

  constructor(inner: Tracker, options: Options) {
    this.inner = inner;
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.inner.start?.(null, null);
    happen(this.#options, 'start');
  }

  async beforePause(): Promise<void> {
    await this.inner.beforePause?.(null);
    happen(this.#options, 'beforePause');
  }

  async quiesce(): Promise<void> {
    await this.inner.quiesce(null);
    happen(this.#options, 'quiesce');
  }

  stop(): void | Promise<void> {
    return this.inner.stop?.();
  }
}

export default definePlugin<FaultyTracker>({
  name: 'faulty-help',
  version: '1.0.0',
  apiVersion: 1,
  description: 'a guest-assisted method, with a fault on request',
  options: {
    method: { values: Object.keys(METHODS), default: 'compsc', help: 'the method' },
    'throw-in': { values: PLACES, default: '', help: 'the step that fails when it has been taken' },
  },
  async createTracker(context) {
    const inner = await methodOf(context.options).createTracker(context);
    happen(context.options, 'createTracker');
    return new FaultyTracker(inner, context.options);
  },
  async saveDevice(context, tracker) {
    const state = await methodOf(context.options).saveDevice(context, tracker.inner);
    happen(context.options, 'saveDevice');
    return state;
  },
  async restoreDevice(context, state) {
    await methodOf(context.options).restoreDevice(context, state);
    happen(context.options, 'restoreDevice');
  },
  rollbackDevice: (context, tracker) => methodOf(context.options).rollbackDevice(context, tracker.inner),
});
