/**
 * The figures of `srvm simulate --figures`: measured costs in, tables in virtual time out. The same costs give the same
 * figures on any machine.
 */
import type { LoadedPlugin } from '../../plugin/loader.js';
import { resolveOptions } from '../../plugin/loader.js';
import { calibrate } from './calibrate.js';
import type { MeasuredCosts } from './costs.js';
import { type DowntimeFigure, downtimeFigure } from './downtime-figures.js';
import { type TrackerFigure, trackerFigure } from './tracker-figures.js';

const FRAME_SIZES = [64, 512, 1514];
const RATES = [100_000, 400_000, 812_000];
const RING_SIZES = [64, 512, 2048];
const DIRTY_RATES = [1_000, 10_000, 100_000, 300_000, 1_000_000];
const LINK_RATES = [1.25e9, 5e9];
const WORKING_SET_PAGES = 4096;
const DOWNTIME_LIMIT_MS = 20;

export interface FiguresOptions {
  readonly plugin: LoadedPlugin;
  /** Null: the plugin has no modes. */
  readonly mode: string | null;
  readonly cores: number;
  readonly onStep?: (done: number, of: number) => void;
}

export interface TrackerRow extends TrackerFigure {
  readonly frameBytes: number;
  readonly offeredFramesPerSecond: number;
  readonly ringSlots: number;
}

export interface DowntimeRow extends DowntimeFigure {
  readonly dirtyPagesPerSecond: number;
  readonly linkBytesPerSecond: number;
}

export interface Figures {
  readonly costs: MeasuredCosts;
  readonly cores: number;
  readonly mode: string | null;
  readonly tracker: readonly TrackerRow[];
  readonly downtime: readonly DowntimeRow[];
}

export async function measureFigures(options: FiguresOptions): Promise<Figures> {
  const { plugin, mode, cores } = options;
  const { definition } = plugin;
  const pluginOptions = resolveOptions(definition, mode === null ? {} : { mode });
  const costs = await calibrate({ plugin: definition, pluginOptions });
  const steps =
    RATES.length * RING_SIZES.length * FRAME_SIZES.length + DIRTY_RATES.length * LINK_RATES.length;
  let done = 0;
  const step = (): void => options.onStep?.(++done, steps);
  const tracker: TrackerRow[] = [];
  for (const framesPerSecond of RATES) {
    for (const ringSlots of RING_SIZES) {
      for (const frameBytes of FRAME_SIZES) {
        const figure = await trackerFigure(
          { plugin: definition, pluginOptions, frameBytes, framesPerSecond, ringSlots, cores },
          costs,
        );
        tracker.push({ frameBytes, offeredFramesPerSecond: framesPerSecond, ringSlots, ...figure });
        step();
      }
    }
  }
  const downtime: DowntimeRow[] = [];
  for (const linkBytesPerSecond of LINK_RATES) {
    for (const dirtyPagesPerSecond of DIRTY_RATES) {
      const figure = await downtimeFigure(
        {
          dirtyPagesPerSecond,
          linkBytesPerSecond,
          workingSetPages: WORKING_SET_PAGES,
          downtimeLimitMs: DOWNTIME_LIMIT_MS,
        },
        costs,
      );
      downtime.push({ dirtyPagesPerSecond, linkBytesPerSecond, ...figure });
      step();
    }
  }
  return { costs, cores, mode, tracker, downtime };
}
