/** `srvm simulate --figures`: costs measured here, then tables in virtual time for as many cores as asked for. */
import { loadPlugin } from '../plugin/loader.js';
import {
  type DowntimeRow,
  type Figures,
  measureFigures,
  type TrackerRow,
} from '../simulation/campaign/figures.js';
import { formatMs, printJson, printTable } from './output.js';

export interface FiguresOrder {
  readonly plugin: string;
  /** Undefined: each mode that the plugin has. */
  readonly mode?: string;
  readonly cores: number;
  readonly json: boolean;
}

export async function runFigures({ plugin: source, mode, cores, json }: FiguresOrder): Promise<void> {
  const plugin = await loadPlugin(source);
  const modes = mode === undefined ? (plugin.definition.options?.['mode']?.values ?? [null]) : [mode];
  const all: Figures[] = [];
  for (const each of modes) {
    process.stderr.write(
      `${plugin.definition.name}${each === null ? '' : `, mode ${each}`}: measuring costs\n`,
    );
    all.push(await measureFigures({ plugin, mode: each, cores }));
  }
  if (json) {
    printJson({ simulated: true, figures: all });
    return;
  }
  for (const figures of all) printFigures(plugin.definition.name, figures);
}

function printFigures(name: string, { costs, cores, mode, tracker, downtime }: Figures): void {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  say(
    `\n${name}${mode === null ? '' : `, mode ${mode}`}: SIMULATED figures, in virtual time, for ${cores} cores.`,
  );
  say(`Made from costs that were measured just now on: ${costs.measuredOn}`);
  printTable(
    ['step', 'ns'],
    [
      [
        'engine: nothing found / a frame of 0 B / a further byte',
        `${costs.engineStepNs.toFixed(0)} / ${costs.engineFrame.ns.toFixed(0)} / ${costs.engineFrame.nsPerByte.toFixed(2)}`,
      ],
      ['guest: a frame taken, its slot refilled', costs.guestFrameNs.toFixed(0)],
      [
        'tracker: nothing found / a descriptor',
        `${costs.trackerTurnNs.toFixed(0)} / ${costs.trackerDescriptorNs.toFixed(0)}`,
      ],
      [
        'a short sleep: CPU time / late by',
        `${costs.sleepCpuNs.toFixed(0)} / ${costs.wakeLateNs.toFixed(0)}`,
      ],
      [
        'sender: a page with data / a zero page',
        `${costs.pageNs.toFixed(0)} / ${costs.zeroPageNs.toFixed(0)}`,
      ],
    ],
  );
  say('\nThe extra core, beside engine, guest and sender:');
  printTable(
    ['frames/s', 'ring', 'bytes', 'tracker', 'engine', 'reached', 'descriptors a look', ''],
    tracker.map(trackerCells),
  );
  say(
    '\nThe stop: last pages and the way. Saving and restoring vCPU and device come on top, and are not simulated:',
  );
  printTable(
    ['pages dirtied/s', 'link', 'downtime', 'total', 'rounds', 'pages sent', ''],
    downtime.map(downtimeCells),
  );
}

function trackerCells(row: TrackerRow): (string | number)[] {
  const { offeredFramesPerSecond, ringSlots, frameBytes, trackerPercent, enginePercent } = row;
  return [
    offeredFramesPerSecond,
    ringSlots,
    frameBytes,
    `${trackerPercent.toFixed(1)}%`,
    `${enginePercent.toFixed(0)}%`,
    `${((row.framesPerSecond / offeredFramesPerSecond) * 100).toFixed(0)}%`,
    row.descriptorsPerLook.toFixed(0),
    row.notes.some((note) => note.includes('lapped')) ? 'lapped, fell back' : '',
  ];
}

function downtimeCells(row: DowntimeRow): (string | number)[] {
  const { dirtyPagesPerSecond, linkBytesPerSecond, downtimeMs, totalMs, rounds, pagesSent, outcome } = row;
  return [
    dirtyPagesPerSecond,
    `${(linkBytesPerSecond * 8) / 1e9} Gb/s`,
    formatMs(downtimeMs),
    formatMs(totalMs),
    rounds,
    pagesSent,
    outcome === 'completed' ? '' : outcome,
  ];
}
