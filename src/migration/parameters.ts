/**
 * Migration parameters, with QEMU's names where QEMU has one; own ones begin with x-srvm-.
 */
import { ParameterError } from './errors.js';

export interface MigrationParameters {
  /** Bytes a second; 0: as fast as the link. Not applied while the guest stands still. */
  readonly 'max-bandwidth': number;
  /** Milliseconds the guest may stand still, as far as the engine can foresee. */
  readonly 'downtime-limit': number;
  /** Percent of the vCPU's time taken at first, added each time, and at most; with x-srvm-auto-converge only. */
  readonly 'cpu-throttle-initial': number;
  readonly 'cpu-throttle-increment': number;
  readonly 'max-cpu-throttle': number;
  /** Slow the guest down when it dirties pages faster than they can be sent. */
  readonly 'x-srvm-auto-converge': boolean;
  /** After so many rounds the guest is stopped whatever is left. */
  readonly 'x-srvm-max-rounds': number;
  /** Rounds spent below the limit already, as long as each halves what is left: they shorten the stop. */
  readonly 'x-srvm-polish-rounds': number;
  /** Compare every page at the destination before the guest runs there. */
  readonly 'x-srvm-verify': boolean;
  /** Milliseconds within which each step of the protocol must be answered. */
  readonly 'x-srvm-step-timeout': number;
}

export const DEFAULT_PARAMETERS: MigrationParameters = {
  'max-bandwidth': 0,
  'downtime-limit': 300,
  'cpu-throttle-initial': 20,
  'cpu-throttle-increment': 10,
  'max-cpu-throttle': 99,
  'x-srvm-auto-converge': false,
  'x-srvm-max-rounds': 30,
  'x-srvm-polish-rounds': 4,
  'x-srvm-verify': false,
  'x-srvm-step-timeout': 10000,
};

/** Least and greatest value of each number. */
const BOUNDS: Readonly<Partial<Record<keyof MigrationParameters, readonly [number, number]>>> = {
  'max-bandwidth': [0, 2 ** 50],
  'downtime-limit': [0, 2_000_000],
  'cpu-throttle-initial': [1, 99],
  'cpu-throttle-increment': [1, 99],
  'max-cpu-throttle': [1, 99],
  'x-srvm-max-rounds': [1, 10_000],
  'x-srvm-polish-rounds': [0, 1000],
  'x-srvm-step-timeout': [10, 3_600_000],
};

/** Applies changes to `base`. Throws ParameterError that names the parameter and what it takes. */
export function withParameters(
  base: MigrationParameters,
  changes: Readonly<Record<string, unknown>>,
): MigrationParameters {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(DEFAULT_PARAMETERS, name)) {
      const known = Object.keys(DEFAULT_PARAMETERS).join(', ');
      throw new ParameterError(`there is no migration parameter "${name}"; there are: ${known}`);
    }
    result[name] = checked(name as keyof MigrationParameters, value);
  }
  return result as unknown as MigrationParameters;
}

function checked(name: keyof MigrationParameters, value: unknown): number | boolean {
  const bounds = BOUNDS[name];
  if (!bounds) {
    if (typeof value !== 'boolean')
      throw new ParameterError(`${name} is true or false, not ${JSON.stringify(value)}`);
    return value;
  }
  const [least, greatest] = bounds;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > greatest) {
    throw new ParameterError(
      `${name} is a whole number in ${least}..${greatest}, not ${JSON.stringify(value)}`,
    );
  }
  return value;
}
