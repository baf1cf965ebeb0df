/** The conformance kit, for authors of tracker plugins. */
export type { GuestHalf } from './help-scenarios.js';
export { type MakeGuestHalf, runConformance, type ScenarioResult, scenarioNames } from './kit.js';
export type { MiniDriver } from './mini-driver.js';
