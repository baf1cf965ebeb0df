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
import { HOTPLUG_SCENARIOS } from './hotplug-scenarios.js';
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
}

export interface Scenario {
  readonly name: string;
  run(kit: ScenarioKit): Promise<readonly string[]>;
}

/** Runs all scenarios, or those whose names are given. */
export async function runConformance(
  definition: PluginDefinition,
  options: Readonly<Record<string, string>> = {},
  only?: readonly string[],
): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const scenario of scenariosFor(definition)) {
    if (only && !only.includes(scenario.name)) continue;
    results.push(await runScenario(scenario, definition, options));
  }
  return results;
}

async function runScenario(
  scenario: Scenario,
  definition: PluginDefinition,
  options: Readonly<Record<string, string>>,
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
export const scenarioNames = (definition: PluginDefinition): readonly string[] =>
  scenariosFor(definition).map((scenario) => scenario.name);

/** A plugin that takes the VF away has nothing to track, and is judged by other scenarios. */
const scenariosFor = ({ requires = [] }: PluginDefinition): readonly Scenario[] =>
  requires.includes('pci-hotplug') ? HOTPLUG_SCENARIOS : SCENARIOS;
