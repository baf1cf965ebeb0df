/**
 * After each harvest: stop the guest now, or copy another round? And how much of its time does the guest lose?
 * A pure function, so that every rule can be tested by numbers alone.
 */
import { PAGE_BYTES } from '../hardware/units.js';
import type { MigrationParameters } from './parameters.js';

export interface RoundFacts {
  /** Rounds copied so far. */
  readonly round: number;
  /** Pages dirty now, and after the round before. */
  readonly remainingPages: number;
  readonly previousRemainingPages: number;
  /** Measured by the link; 0 when nothing was measured yet. */
  readonly bytesPerMs: number;
  /** Bytes the last round moved: what the guest dirtied meanwhile is held against it. */
  readonly roundBytes: number;
  /** Rounds copied although what was left had been below the limit. */
  readonly polishRounds: number;
  readonly throttlePercent: number;
}

export interface Decision {
  readonly action: 'stop' | 'again';
  readonly why: 'nothing-left' | 'below-limit' | 'maximum-rounds' | 'above-limit' | 'polishing';
  readonly expectedDowntimeMs: number;
  readonly throttlePercent: number;
}

/** So little is sent faster than another round could be organised. */
const NOTHING_LEFT_PAGES = 64;
/** The guest dirties more than this share of what a round moved: it outruns the link. */
const OUTRUN_SHARE = 0.5;

export function decide(facts: RoundFacts, parameters: MigrationParameters): Decision {
  const remainingBytes = facts.remainingPages * PAGE_BYTES;
  const expectedDowntimeMs = facts.bytesPerMs > 0 ? remainingBytes / facts.bytesPerMs : 0;
  const same = { expectedDowntimeMs, throttlePercent: facts.throttlePercent };
  if (facts.remainingPages <= NOTHING_LEFT_PAGES) return { ...same, action: 'stop', why: 'nothing-left' };
  if (facts.round >= parameters['x-srvm-max-rounds'])
    return { ...same, action: 'stop', why: 'maximum-rounds' };
  if (expectedDowntimeMs <= parameters['downtime-limit']) {
    const shrinks = facts.remainingPages * 2 <= facts.previousRemainingPages;
    if (shrinks && facts.polishRounds < parameters['x-srvm-polish-rounds']) {
      return { ...same, action: 'again', why: 'polishing' };
    }
    return { ...same, action: 'stop', why: 'below-limit' };
  }
  return { ...same, action: 'again', why: 'above-limit', throttlePercent: throttleFor(facts, parameters) };
}

function throttleFor(facts: RoundFacts, parameters: MigrationParameters): number {
  if (!parameters['x-srvm-auto-converge']) return facts.throttlePercent;
  // the first round moves everything: only later ones show whether the guest outruns the link
  const outrun = facts.round >= 2 && facts.remainingPages * PAGE_BYTES > facts.roundBytes * OUTRUN_SHARE;
  if (!outrun) return facts.throttlePercent;
  const next =
    facts.throttlePercent === 0
      ? parameters['cpu-throttle-initial']
      : facts.throttlePercent + parameters['cpu-throttle-increment'];
  return Math.min(next, parameters['max-cpu-throttle']);
}
