/**
 * srvm as a library: what the CLI is built from. Plugins import from `srvm/plugin` instead.
 *
 * @packageDocumentation
 */

export { type ImageManifest, listImages, readImage } from './control/images.js';
export { PluginCatalog } from './control/plugin-catalog.js';
export { QmpClient, QmpConnectError } from './control/qmp-client.js';
export { QmpError, type QmpEvent } from './control/qmp-protocol.js';
export { type VfRequest, Vmm } from './control/vmm.js';
export { VmmMigrations } from './control/vmm-migration.js';
export { Nic } from './hypervisor/nic.js';
export { VirtualMachine } from './hypervisor/vm.js';
export type { VmInfo } from './hypervisor/vm-info.js';
export { createDestinationMigration, createSourceMigration } from './migration/create.js';
export { MigrationQueue } from './migration/queue.js';
export type { MigrationReport, RoundReport } from './migration/report.js';
export { restoreFromFile, saveToFile } from './migration/save-restore.js';
export { createDeviceMigrator } from './plugin/create.js';
export { loadPlugin } from './plugin/loader.js';
