/** The conformance kit, for authors of tracker plugins. */
export { runConformance, type ScenarioResult, scenarioNames } from './kit.js';
