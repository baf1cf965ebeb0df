/**
 * The conformance kit: scenarios that any tracker plugin can be run against, in one thread and virtual time, judged by the
 * ground truth. A plugin that claims less (PluginClaims) is held to exactly what it claims.
 *
 * @example
 * ```ts
 * const results = await runConformance(myPlugin, { mode: 'fast' });
 * for (const { scenario, problems } of results) console.log(scenario, problems.length === 0 ? 'ok' : problems.join('; '));
 * ```
 */
import { claimsOf, type FullClaims, type PluginDefinition } from '../definition.js';
import { Arrival } from './arrival.js';
import { type GuestHalf, HELP_SCENARIOS, NO_HELP_SCENARIOS } from './help-scenarios.js';
import { HOTPLUG_SCENARIOS } from './hotplug-scenarios.js';
import type { MiniDriver } from './mini-driver.js';
import { MigrationRig, type RigOptions } from './rig.js';
import { SCENARIOS } from './scenarios.js';

export interface ScenarioResult {
  readonly scenario: string;
  /** What went wrong, as sentences; empty: passed. */
  readonly problems: readonly string[];
  /** The plugin's own sentences. */
  readonly notes: readonly string[];
}

/** What a scenario works with. */
export interface ScenarioKit {
  rig(options?: Omit<RigOptions, 'options'>): MigrationRig;
  arrival(rig: MigrationRig): Arrival;
  /** What the plugin is held to. */
  readonly claims: FullClaims;
  /** Null: none was given. */
  readonly guestHalf: MakeGuestHalf | null;
}

/** Plays the guest's half of a method on the kit's driver, which is up. */
export type MakeGuestHalf = (driver: MiniDriver) => GuestHalf;

export interface Scenario {
  readonly name: string;
  run(kit: ScenarioKit): Promise<readonly string[]>;
}

/**
 * Runs all scenarios, or those whose names are given. A plugin that needs the guest's help brings the guest's half; without it,
 * only its refusing is tried.
 */
export async function runConformance(
  definition: PluginDefinition,
  options: Readonly<Record<string, string>> = {},
  only?: readonly string[],
  guestHalf: MakeGuestHalf | null = null,
): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const scenario of scenariosFor(definition, guestHalf)) {
    if (only && !only.includes(scenario.name)) continue;
    results.push(await runScenario(scenario, definition, options, guestHalf));
  }
  return results;
}

async function runScenario(
  scenario: Scenario,
  definition: PluginDefinition,
  options: Readonly<Record<string, string>>,
  guestHalf: MakeGuestHalf | null,
): Promise<ScenarioResult> {
  const rigs: MigrationRig[] = [];
  const arrivals: Arrival[] = [];
  const kit: ScenarioKit = {
    rig(rigOptions) {
      const rig = new MigrationRig(definition, { ...rigOptions, options });
      rigs.push(rig);
      return rig;
    },
    arrival(rig) {
      const arrival = new Arrival(rig, definition, options);
      arrivals.push(arrival);
      return arrival;
    },
    claims: claimsOf(definition),
    guestHalf,
  };
  let problems: readonly string[];
  try {
    problems = await scenario.run(kit);
  } catch (error) {
    problems = [`threw: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    for (const each of [...rigs, ...arrivals]) each.close();
  }
  return { scenario: scenario.name, problems, notes: rigs.flatMap((rig) => rig.notes) };
}

/** Those that the plugin is held to. */
export const scenarioNames = (
  definition: PluginDefinition,
  guestHalf: MakeGuestHalf | null = null,
): readonly string[] => scenariosFor(definition, guestHalf).map((scenario) => scenario.name);

/** A plugin that takes the VF away, or whose guest has to help, is judged by scenarios of its own. */
function scenariosFor(definition: PluginDefinition, guestHalf: MakeGuestHalf | null): readonly Scenario[] {
  const { requires = [] } = definition;
  if (requires.includes('pci-hotplug')) return HOTPLUG_SCENARIOS;
  // the variant drives another device; in the migration it is the device that helps
  if (requires.includes('migration-assist')) return SCENARIOS;
  if (!claimsOf(definition).needsGuestHelp) return SCENARIOS;
  return guestHalf === null ? NO_HELP_SCENARIOS : HELP_SCENARIOS;
}
