/**
 * SRVM that goes wrong where it is told to: `throw-in`, `hang-in` and `dawdle-in` name a method. Dawdling holds a
 * migration in its phase long enough for something else to happen to it.
 */
import { type CoreHandle, definePlugin, type Tracker, type TrackerContext } from 'srvm/plugin';
import srvm from '../../../../plugins/srvm/plugin.js';
import type { FaultyCoreData } from './core.js';

const DAWDLE_MS = 700;
const PLACES = [
  '',
  'createTracker',
  'start',
  'core',
  'beforeHarvest',
  'quiesce',
  'saveDevice',
  'restoreDevice',
];

type SrvmTracker = ReturnType<typeof srvm.createTracker> extends infer T | Promise<infer T> ? T : never;
type Options = TrackerContext['options'];

/** What the user of this plugin asked to happen in `place`. */
async function happen(options: Options, place: string): Promise<void> {
  if (options['throw-in'] === place) throw new Error(`thrown in ${place}, as asked for`);
  if (options['hang-in'] === place) await new Promise(() => {});
  if (options['dawdle-in'] === place) await new Promise((resolve) => setTimeout(resolve, DAWDLE_MS));
}

class FaultyTracker implements Tracker {
  readonly inner: SrvmTracker;
  readonly core: Tracker['core'];
  readonly #options: Options;

  constructor(inner: SrvmTracker, options: Options) {
    this.inner = inner;
    this.#options = options;
    const { data, sharedWords } = inner.core;
    const faulty: FaultyCoreData = {
      data,
      fault: options['throw-in'] === 'core' ? 'throw' : options['hang-in'] === 'core' ? 'hang' : 'none',
    };
    this.core = {
      module: new URL('./core.js', import.meta.url),
      data: faulty,
      ...(sharedWords === undefined ? {} : { sharedWords }),
    };
  }

  async start(core: CoreHandle | null): Promise<void> {
    await happen(this.#options, 'start');
    await this.inner.start?.(core);
  }

  async beforeHarvest(): Promise<void> {
    await happen(this.#options, 'beforeHarvest');
  }

  async quiesce(core: CoreHandle | null): Promise<void> {
    await happen(this.#options, 'quiesce');
    await this.inner.quiesce(core);
  }

  stop(): void | Promise<void> {
    return this.inner.stop?.();
  }
}

const place = (help: string) => ({ values: PLACES, default: '', help });

export default definePlugin<FaultyTracker>({
  name: 'faulty',
  version: '1.0.0',
  apiVersion: 1,
  description: 'srvm, with a fault on request',
  options: {
    ...srvm.options!,
    'throw-in': place('the method that throws'),
    'hang-in': place('the method that never comes back'),
    'dawdle-in': place('the method that takes its time'),
  },
  async createTracker(context) {
    await happen(context.options, 'createTracker');
    return new FaultyTracker(await srvm.createTracker(context), context.options);
  },
  async saveDevice(context, tracker) {
    await happen(context.options, 'saveDevice');
    return srvm.saveDevice(context, tracker.inner);
  },
  async restoreDevice(context, state) {
    await happen(context.options, 'restoreDevice');
    await srvm.restoreDevice(context, state);
  },
  rollbackDevice: (context, tracker) => srvm.rollbackDevice(context, tracker.inner),
});
