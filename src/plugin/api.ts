/**
 * The public plugin API, `srvm/plugin`. A plugin imports from here and from npm, from nowhere else in this project.
 *
 * @example
 * ```ts
 * import { definePlugin, vf82599 } from 'srvm/plugin';
 *
 * export default definePlugin({
 *   name: 'none',
 *   version: '1.0.0',
 *   apiVersion: 1,
 *   createTracker(context) {
 *     const device = new vf82599.VfDevice(context);
 *     return { device, quiesce: () => device.quiesce() };
 *   },
 *   saveDevice: (_context, tracker) => tracker.device.save(),
 *   restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
 *   rollbackDevice: (_context, tracker) => tracker.device.resume(),
 * });
 * ```
 * @packageDocumentation
 */

export { HotplugError, type HotplugFailure } from '../hypervisor/hotplug.js';
export type { Core, CoreHandle, CoreModule, CoreRequest, CoreView, CreateCore } from './core-api.js';
export {
  type ArrivalCounters,
  claimsOf,
  type DeviceContext,
  definePlugin,
  type FullClaims,
  type GuestChannel,
  type HostFeature,
  type HotPlug,
  type IommuDirtyBits,
  type MigrationAssist,
  type OptionSpec,
  PLUGIN_API_VERSION,
  type PluginClaims,
  type PluginDefinition,
  type Tracker,
  type TrackerContext,
} from './definition.js';
export type {
  BarPages,
  Clock,
  DeviceView,
  DirtyMarks,
  GuestRam,
  PageMapping,
  RegisterWindow,
  ScratchPages,
  StateFields,
  StateValue,
  VfStatistics,
} from './device-view.js';
export { discardedMarks } from './discarded-marks.js';
export { DeviceStateError } from './errors.js';
export type {
  CreateExitHandler,
  ExitHandler,
  ExitModule,
  ExitRequest,
  ExitsHandle,
  ExitView,
} from './exit-api.js';
export * as vf82599 from './vf82599/index.js';
