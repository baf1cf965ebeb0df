/**
 * What kind of driver a seed makes: which habits it has, how often each shows, and from which ranges it draws a ring. Drawn
 * from the seed alone, so that it need not be kept: the seed lies in RAM.
 */
import { Choices } from '../../clockwork/choices.js';

export type Habit =
  | 'receive'
  | 'refill'
  | 'send'
  | 'reapTx'
  | 'wait'
  | 'moveRing'
  | 'toggleQueue'
  | 'moveTxRing'
  | 'resetVf'
  | 'readStatistics'
  | 'maskInterrupts'
  | 'moderate'
  | 'dirtyPages'
  | 'updateList'
  | 'walkList'
  | 'audit'
  | 'idle';

export interface Character {
  readonly queues: 1 | 2;
  readonly habits: readonly (readonly [habit: Habit, weight: number])[];
  readonly totalWeight: number;
  readonly slots: readonly number[];
  readonly buffersKib: readonly number[];
  readonly skews: readonly number[];
  /** Numbers of POLICY. */
  readonly policies: readonly number[];
  readonly splitChance: number;
  readonly byLengthChance: number;
  readonly tailLastChance: number;
  /** Queues are disabled and enabled without looking whether that was done. */
  readonly blindChance: number;
  readonly canaryChance: number;
  readonly tailBurstChance: number;
  readonly headWriteBackChance: number;
  /** VTEIAM: a vector masks itself when it is sent. */
  readonly autoMask: boolean;
  /** Interrupts at most every so many microseconds. */
  readonly moderationUs: readonly number[];
  readonly longestWaitUs: number;
  readonly dirtyBurst: number;
}

/** The usual share of each habit. */
const USUAL: readonly (readonly [Habit, number])[] = [
  ['receive', 300],
  ['refill', 200],
  ['send', 120],
  ['reapTx', 80],
  ['wait', 200],
  ['moveRing', 2],
  ['toggleQueue', 2],
  ['moveTxRing', 1],
  ['resetVf', 0.3],
  ['readStatistics', 8],
  ['maskInterrupts', 10],
  ['moderate', 4],
  ['dirtyPages', 60],
  ['updateList', 60],
  ['walkList', 4],
  ['audit', 30],
  ['idle', 2],
];
/** What a habit's share is multiplied with. */
const LEANINGS = [0, 0.2, 1, 1, 1, 3, 10];
/** Without these nothing would ever arrive. */
const NEVER_WITHOUT: readonly Habit[] = ['receive', 'refill', 'wait'];
/** Each packet costs the simulator a hundred steps' time. */
const SEND_LEANINGS = [0, 0.2, 1, 1, 2];

export function drawCharacter(seed: number): Character {
  const choices = new Choices(seed).fork('scripted guest');
  const habits = USUAL.map(([habit, weight]) => {
    const leanings = habit === 'send' ? SEND_LEANINGS : LEANINGS;
    const leaning = choices.pick(NEVER_WITHOUT.includes(habit) ? [0.5, 1, 3] : leanings);
    return [habit, weight * leaning] as const;
  });
  const some = <T>(from: readonly T[]): readonly T[] => {
    const kept = from.filter(() => choices.chance(0.5));
    return kept.length > 0 ? kept : [choices.pick(from)];
  };
  return {
    queues: choices.chance(0.6) ? 2 : 1,
    habits,
    totalWeight: habits.reduce((sum, [, weight]) => sum + weight, 0),
    slots: some([8, 16, 24, 64, 128, 256, 512]),
    buffersKib: some([1, 2, 2, 3, 4, 8, 16]),
    skews: some([0, 0, 2, 64, 513, 1000]),
    policies: some([0, 1, 2]),
    splitChance: choices.pick([0, 0, 0.3, 1]),
    byLengthChance: choices.pick([0, 0.5, 1]),
    tailLastChance: choices.pick([0, 0.5, 1]),
    blindChance: choices.pick([0, 0, 0.5]),
    canaryChance: choices.pick([0, 0.25]),
    tailBurstChance: choices.pick([0, 0.1, 0.5]),
    headWriteBackChance: choices.pick([0, 0, 0.5]),
    autoMask: choices.chance(0.5),
    moderationUs: some([0, 0, 50, 500]),
    longestWaitUs: choices.pick([50, 500, 5_000]),
    dirtyBurst: choices.pick([1, 4, 16]),
  };
}
