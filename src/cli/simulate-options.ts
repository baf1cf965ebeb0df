/** What `srvm simulate` was asked: seeds, faults, how long. */
import { FAULT_KINDS, type FaultKind, type FaultKinds } from '../simulation/world/fault-plan.js';
import { OptionError, parseWhole } from './options.js';

export interface SimulateOptions {
  readonly seed?: string;
  readonly seeds?: string;
  readonly minutes?: string;
  readonly plugin: string;
  readonly mode?: string;
  readonly image: string;
  readonly faults: string;
  readonly faultPlan?: string;
  readonly trace?: string;
  readonly shrink: boolean;
  readonly figures: boolean;
  readonly cores: string;
  readonly workers?: string;
  readonly json: boolean;
}

/** What is to be done. */
export type SimulateOrder =
  | { readonly kind: 'one'; readonly seed: number }
  | { readonly kind: 'shrink'; readonly seed: number }
  /** `last` is null where only time ends it. */
  | {
      readonly kind: 'many';
      readonly first: number;
      readonly last: number | null;
      readonly timeLimitMs: number | null;
    }
  | { readonly kind: 'figures'; readonly cores: number };

const MAX_SEED = 2 ** 32 - 1;
const DEFAULT_TIME_LIMIT_MS = 60_000;

/** @throws OptionError when options contradict each other. */
export function orderOf(options: SimulateOptions): SimulateOrder {
  const { seed, seeds, minutes } = options;
  if (options.figures) return { kind: 'figures', cores: parseWhole(options.cores, '--cores', 1, 1024) };
  if (seed !== undefined) {
    if (seeds !== undefined || minutes !== undefined)
      throw new OptionError('--seed is one run; --seeds and --minutes are for many');
    return { kind: options.shrink ? 'shrink' : 'one', seed: parseWhole(seed, '--seed', 0, MAX_SEED) };
  }
  for (const name of ['trace', 'shrink', 'faultPlan'] as const) {
    if (options[name]) throw new OptionError(`${flagOf(name)} is about one run: give its seed with --seed`);
  }
  const timeLimitMs = minutes === undefined ? null : parseMinutes(minutes);
  if (seeds === undefined)
    return { kind: 'many', first: 1, last: null, timeLimitMs: timeLimitMs ?? DEFAULT_TIME_LIMIT_MS };
  return { kind: 'many', ...parseSeeds(seeds), timeLimitMs };
}

const flagOf = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** `1..1000`, both ends included. @throws OptionError */
export function parseSeeds(text: string): { first: number; last: number } {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  if (match === null) throw new OptionError(`--seeds: '${text}' is no range; write for example 1..1000`);
  const first = parseWhole(match[1]!, '--seeds', 0, MAX_SEED);
  return { first, last: parseWhole(match[2]!, '--seeds', first, MAX_SEED) };
}

/** `all`, `none`, or kinds with commas. @throws OptionError */
export function parseFaults(text: string): FaultKinds {
  if (text === 'all') return FAULT_KINDS;
  if (text === 'none') return [];
  return text.split(',').map((each) => {
    if (!FAULT_KINDS.includes(each as FaultKind))
      throw new OptionError(
        `--faults: there is no kind '${each}'; write all, none, or some of ${FAULT_KINDS.join(',')}`,
      );
    return each as FaultKind;
  });
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0 && minutes <= 10_000))
    throw new OptionError(`--minutes: '${text}' is no time; write for example 10`);
  return minutes * 60_000;
}

export function* seedsFrom(first: number, last: number | null): Iterable<number> {
  for (let seed = first; seed <= (last ?? MAX_SEED); seed++) yield seed;
}
