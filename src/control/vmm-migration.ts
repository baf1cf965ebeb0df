/**
 * The migrations of one VMM process: at most one at a time, out of it or into it.
 *
 *   idle --start--> outgoing --> idle (the VM stays: failed, cancelled) | retired (it is elsewhere, or may be)
 *   idle --listen--> incoming --> idle (the VM is here)                   retired --listen--> incoming
 */

import type { VirtualMachine } from '../hypervisor/vm.js';
import { type ExitCounts, exitsSince } from '../hypervisor/vm-exits.js';
import { type CoreSample, CoreSampler } from '../measure/threads.js';
import { createDestinationMigration, createSourceMigration } from '../migration/create.js';
import type { DestinationMigration, DestinationPhase, DestinationResult } from '../migration/destination.js';
import { DEFAULT_PARAMETERS, type MigrationParameters, withParameters } from '../migration/parameters.js';
import type { MigrationReport } from '../migration/report.js';
import type { SourceMigration } from '../migration/source.js';
import type { MigrationInfo } from '../migration/stats.js';
import { type LoadedPlugin, resolveOptions } from '../plugin/loader.js';
import { type DevicePlugins, deviceOf, VIF_PLUGIN, vifsOf } from './device-of.js';
import { IncomingHost } from './incoming-host.js';
import { PluginCatalog } from './plugin-catalog.js';
import type { JsonObject } from './qmp-protocol.js';
import { sourcePort } from './source-port.js';
import type { VifRequest } from './vifs.js';
import { type NetRequest, type VfRequest, type Vmm, VmmError } from './vmm.js';

export interface MigrateRequest {
  readonly uri: string;
  /** Folder or package; null: the guest has no VF, or the default plugin is used. */
  readonly plugin: string | null;
  readonly pluginOptions: Readonly<Record<string, string>>;
}

/** The engine's report, and what the cores of this process ran meanwhile. */
export interface VmmMigrationReport extends MigrationReport {
  readonly cores: readonly CoreSample[];
  /** Times that the guest left for the hypervisor here meanwhile, by reason. */
  readonly exits: ExitCounts;
}

export interface IncomingStatus {
  readonly status: DestinationPhase | 'none';
  /** Where a source can connect. */
  readonly address: string | null;
  readonly error: string | null;
  readonly result: JsonObject | null;
}

const DEFAULT_PLUGIN = 'plugins/srvm';
/** QEMU's words for the ends of an incoming migration; all else is `active`. */
const INCOMING_STATUS: Readonly<Record<string, string>> = { running: 'completed', failed: 'failed' };
const SILENCE_LIMIT_MS = 10_000;

type Activity =
  | { readonly kind: 'idle' }
  | { readonly kind: 'outgoing'; readonly migration: SourceMigration }
  | { readonly kind: 'incoming'; readonly migration: DestinationMigration };

export class VmmMigrations {
  readonly #vmm: Vmm;
  readonly #catalog: PluginCatalog;
  #activity: Activity = { kind: 'idle' };
  /** Resolves when the last activity is over, and what it left behind too. */
  #done: Promise<void> = Promise.resolve();
  #parameters: MigrationParameters = DEFAULT_PARAMETERS;
  #lastInfo: MigrationInfo = { status: 'none' };
  #lastReport: VmmMigrationReport | null = null;
  #incoming: IncomingStatus = { status: 'none', address: null, error: null, result: null };
  #retiredAs: 'postmigrate' | 'outcome-unknown' | null = null;

  /** @param plugins further plugins that a source may ask for, by folder or package. */
  constructor(vmm: Vmm, plugins: readonly string[]) {
    this.#vmm = vmm;
    this.#catalog = new PluginCatalog(plugins);
  }

  get parameters(): MigrationParameters {
    return this.#parameters;
  }

  get lastReport(): VmmMigrationReport | null {
    return this.#lastReport;
  }

  /** Why the VM that was here never runs here again; null while it may. */
  get retiredAs(): 'postmigrate' | 'outcome-unknown' | null {
    return this.#retiredAs;
  }

  incoming(): IncomingStatus {
    return this.#incoming;
  }

  info(): MigrationInfo {
    return this.#activity.kind === 'outgoing' ? this.#activity.migration.info() : this.#lastInfo;
  }

  setParameters(changes: JsonObject): void {
    this.#parameters = withParameters(this.#parameters, changes);
    if (this.#activity.kind === 'outgoing') this.#activity.migration.setParameters(changes);
  }

  refuseWhileMoving(what: string): void {
    if (this.#activity.kind === 'idle') return;
    throw new VmmError(
      `'${what}' is not possible while a migration is ${this.#activity.kind}; cancel it first`,
    );
  }

  /** Begins to move the VM away. Returns when it has begun; events and query-migrate tell the rest. */
  async start(request: MigrateRequest): Promise<void> {
    this.refuseWhileMoving('migrate');
    if (this.#retiredAs !== null)
      throw new VmmError(`the VM is ${this.#retiredAs}: there is nothing here to migrate`);
    const vmm = this.#vmm;
    const vm = vmm.requireVm();
    if (vm.state.kind !== 'running' && vm.state.kind !== 'paused') {
      throw new VmmError(`VM '${vm.name}' is ${vm.state.kind}; only a running or paused VM can be migrated`);
    }
    const plugins = await this.#pluginsFor(vm, request);
    const port = sourcePort(vm, (outcome) => this.#retire(outcome));
    const migration = createSourceMigration({
      vm: port,
      device: deviceOf(vm, plugins),
      to: request.uri,
      parameters: this.#parameters,
      onPhase: (phase) => {
        vmm.emit('MIGRATION', { status: migration.info().status, 'x-srvm-phase': phase.phase });
        if (phase.phase === 'pre-copy') vmm.emit('MIGRATION_PASS', { pass: phase.round });
      },
      onRound: (round) => vmm.emit('X_SRVM_ROUND', { ...round }),
    });
    const sampler = new CoreSampler();
    const exitsBefore = vm.info().exits;
    this.#activity = { kind: 'outgoing', migration };
    this.#done = migration.run().then((report) =>
      this.#ended(migration, {
        ...report,
        cores: sampler.stop(),
        exits: exitsSince(exitsBefore, vm.info().exits),
      }),
    );
  }

  /** The user's plugin is for the VFs, or, in a VM without any, for its virtual interfaces. */
  async #pluginsFor(vm: VirtualMachine, request: MigrateRequest): Promise<DevicePlugins> {
    const hasVfs = vm.vfs.length > 0;
    const hasVifs = vifsOf(vm).length > 0;
    const plugin = hasVfs ? await PluginCatalog.load(request.plugin ?? DEFAULT_PLUGIN) : null;
    const own = hasVfs ? null : request.plugin;
    const vifPlugin = hasVifs ? await PluginCatalog.load(own ?? `plugins/${VIF_PLUGIN}`) : null;
    const options = (of: LoadedPlugin | null): Record<string, string> =>
      of === null ? {} : resolveOptions(of.definition, request.pluginOptions);
    return { plugin, options: options(plugin), vifPlugin, vifOptions: hasVfs ? {} : options(vifPlugin) };
  }

  cancel(): void {
    if (this.#activity.kind === 'idle') return;
    const { migration } = this.#activity;
    const { phase } = migration;
    // one that is failing just now is as good as cancelled
    const hasFailed = (typeof phase === 'string' ? phase : phase.phase) === 'failed';
    if (!hasFailed && !migration.cancel()) {
      throw new VmmError('the migration can no longer be cancelled: the destination owns the VM');
    }
  }

  /** Waits for a VM to arrive; returns the address once a source can connect. */
  async listen(
    uri: string,
    vfs: readonly VfRequest[],
    maxRamBytes: number,
    nets: readonly NetRequest[] = [],
    vifs: readonly VifRequest[] = [],
  ): Promise<string> {
    this.refuseWhileMoving('migrate-incoming');
    const vmm = this.#vmm;
    if (this.#retiredAs !== null) {
      await vmm.dropVm();
      this.#retiredAs = null;
    }
    if (vmm.vm !== null) throw new VmmError(`VMM '${vmm.name}' has a VM already`);
    // cards are opened now: their links are up when the guest arrives
    await vmm.openVfs(vfs);
    await vmm.openNets(nets);
    await vmm.vifs.open(vifs);
    const migration = createDestinationMigration({
      host: new IncomingHost({ vmm, catalog: this.#catalog, vfs, nets, vifs, maxRamBytes }),
      listen: uri,
      silenceLimitMs: SILENCE_LIMIT_MS,
      onPhase: (phase) => {
        // its end is told when this process is ready for the next migration, not before
        if (phase !== 'failed' && phase !== 'running') this.#setIncoming({ status: phase });
      },
    });
    const bound = await migration.listen();
    this.#incoming = { status: 'listening', address: bound, error: null, result: null };
    this.#activity = { kind: 'incoming', migration };
    this.#done = migration.run().then(
      (result) => this.#arrived(result),
      (error: Error) => {
        process.stderr.write(`srvm: incoming migration on ${uri} failed: ${error.message}\n`);
        this.#activity = { kind: 'idle' };
        this.#setIncoming({ status: 'failed', error: error.message });
      },
    );
    return bound;
  }

  /** Ends whatever is under way; a VM that has moved away may still be being let go of. */
  async close(): Promise<void> {
    if (this.#activity.kind !== 'idle') this.#activity.migration.cancel();
    await this.#done;
  }

  async #ended(migration: SourceMigration, report: VmmMigrationReport): Promise<void> {
    this.#lastInfo = migration.info();
    this.#lastReport = report;
    this.#activity = { kind: 'idle' };
    // the memory of a VM that is elsewhere for sure is given back
    if (this.#retiredAs === 'postmigrate') await this.#vmm.dropVm();
    this.#vmm.emit('X_SRVM_MIGRATION_REPORT', {
      outcome: report.outcome,
      ...(report.error ? { error: report.error } : {}),
    });
  }

  #arrived(result: DestinationResult): void {
    const { vm: _vm, offer: _offer, ...facts } = result;
    this.#activity = { kind: 'idle' };
    this.#setIncoming({ status: 'running', result: facts as unknown as JsonObject });
  }

  #setIncoming(change: Partial<IncomingStatus>): void {
    this.#incoming = { ...this.#incoming, ...change };
    if (change.status)
      this.#vmm.emit('MIGRATION', {
        status: INCOMING_STATUS[change.status] ?? 'active',
        'x-srvm-phase': change.status,
      });
  }

  #retire(outcome: 'postmigrate' | 'outcome-unknown'): void {
    this.#retiredAs = outcome;
  }
}
