/** The one command that runs a seed again, and the file that holds a fault schedule for it. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { PlannedFault } from '../world/fault-plan.js';

/** What the user chose; what is left out is the seed's choice. */
export interface RunChoices {
  readonly plugin?: string;
  readonly mode?: string;
  readonly image?: string;
  /** As on the command line: `all`, `none`, or kinds with commas. */
  readonly faults?: string;
}

/** A file that is no fault schedule of ours. */
export class FaultPlanError extends Error {
  override readonly name = 'FaultPlanError';
}

/** @param rest further words, such as `--fault-plan FILE` */
export function replayCommand(seed: number, choices: RunChoices, ...rest: string[]): string {
  const words = ['srvm', 'simulate', '--seed', String(seed)];
  for (const [name, value] of Object.entries(choices) as [keyof RunChoices, string | undefined][]) {
    if (value !== undefined) words.push(`--${name}`, value);
  }
  return [...words, ...rest].map(quoted).join(' ');
}

/** As a shell needs it. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export function writeFaultPlan(file: string, seed: number, plan: readonly PlannedFault[]): void {
  writeFileSync(file, `${JSON.stringify({ seed, plan }, null, 2)}\n`);
}

/** @throws FaultPlanError */
export function readFaultPlan(file: string): readonly PlannedFault[] {
  let content: { plan?: unknown } | null;
  try {
    content = JSON.parse(readFileSync(file, 'utf8')) as { plan?: unknown } | null;
  } catch (error) {
    throw new FaultPlanError(`--fault-plan: ${file} cannot be read: ${(error as Error).message}`);
  }
  if (!Array.isArray(content?.plan)) {
    throw new FaultPlanError(
      `--fault-plan: ${file} has no list "plan"; srvm simulate --shrink writes such files`,
    );
  }
  return content.plan as PlannedFault[];
}
