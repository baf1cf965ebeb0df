/**
 * The QMP commands of a VMM process: QEMU's names, arguments and units where QEMU has them; own ones begin with x-srvm-.
 */
import { MAX_RAM_BYTES } from '../machine/layout.js';
import { listThreads } from '../measure/threads.js';
import { DEFAULT_PARAMETERS } from '../migration/parameters.js';
import { linkSet, queryLinks } from './link-set.js';
import { PluginCatalog } from './plugin-catalog.js';
import { isJsonObject, type JsonObject, QmpError } from './qmp-protocol.js';
import type { QmpHandler } from './qmp-server.js';
import { plugSlot, unplugSlot } from './slots.js';
import { queryPci, queryStats, queryStatus, queryVm } from './status.js';
import type { NetRequest, Vmm } from './vmm.js';
import type { VmmMigrations } from './vmm-migration.js';

export interface CommandContext {
  readonly vmm: Vmm;
  readonly migrations: VmmMigrations;
  /** Ends the process, after the reply has gone out. */
  readonly quit: () => void;
}

type Commands = [name: string, handler: QmpHandler][];

export function qmpCommands(context: CommandContext): Map<string, QmpHandler> {
  return new Map([
    ...lifecycleCommands(context),
    ...migrationCommands(context),
    ...functionCommands(context),
    ...queries(context),
  ]);
}

const lifecycleCommands = ({ vmm, migrations, quit }: CommandContext): Commands => [
  [
    'stop',
    async () => {
      migrations.refuseWhileMoving('stop');
      await vmm.requireVm().pause();
    },
  ],
  [
    'cont',
    () => {
      migrations.refuseWhileMoving('cont');
      if (migrations.retiredAs !== null) {
        throw new QmpError(
          'GenericError',
          `the VM is ${migrations.retiredAs}: it may run elsewhere and never runs here again`,
        );
      }
      vmm.requireVm().resume();
    },
  ],
  ['quit', () => setImmediate(quit) && {}],
  ['x-srvm-type-in', (args) => ({ bytes: vmm.requireVm().typeIn(Buffer.from(text(args, 'text'))) })],
];

const migrationCommands = ({ migrations }: CommandContext): Commands => [
  [
    'migrate',
    async (args) => {
      await migrations.start({
        uri: text(args, 'uri'),
        plugin: optionalText(args, 'x-srvm-plugin'),
        pluginOptions: texts(args, 'x-srvm-plugin-options'),
      });
    },
  ],
  [
    'migrate-incoming',
    async (args) => {
      const maxRamBytes = args['x-srvm-max-memory'] ?? MAX_RAM_BYTES;
      if (typeof maxRamBytes !== 'number')
        throw new QmpError('GenericError', "'x-srvm-max-memory' must be a number");
      const address = await migrations.listen(
        text(args, 'uri'),
        incomingCards(args, 'x-srvm-vfs', [{}]).map((card) => ({ ...card, trust: false })),
        maxRamBytes,
        incomingCards(args, 'x-srvm-nets', []),
        incomingCards(args, 'x-srvm-vifs', []),
      );
      return { address };
    },
  ],
  ['migrate_cancel', () => migrations.cancel()],
  ['query-migrate', () => migrations.info()],
  ['migrate-set-parameters', (args) => migrations.setParameters(args)],
  ['query-migrate-parameters', () => migrations.parameters],
  ['x-srvm-query-migration-report', () => migrations.lastReport ?? {}],
  ['x-srvm-query-incoming', () => migrations.incoming()],
  ['x-srvm-query-parameter-names', () => Object.keys(DEFAULT_PARAMETERS)],
];

/** VFs and virtual interfaces, while their VM runs. */
const functionCommands = ({ vmm, migrations }: CommandContext): Commands => [
  ['x-srvm-link-set', (args) => linkSet(vmm, args)],
  ['x-srvm-query-links', () => queryLinks(vmm)],
  [
    'x-srvm-unplug',
    (args) => {
      migrations.refuseWhileMoving('x-srvm-unplug');
      return unplugSlot(vmm, args);
    },
  ],
  [
    'x-srvm-plug',
    (args) => {
      migrations.refuseWhileMoving('x-srvm-plug');
      return plugSlot(vmm, args);
    },
  ],
  ['x-srvm-vif-create', (args) => vmm.vifs.create(args)],
  ['x-srvm-vif-set', (args) => vmm.vifs.set(args)],
  ['x-srvm-vif-remove', (args) => vmm.vifs.remove(args)],
  ['x-srvm-query-vifs', () => vmm.vifs.list()],
];

const queries = ({ vmm, migrations }: CommandContext): Commands => [
  ['query-status', () => queryStatus(vmm, migrations.retiredAs)],
  ['query-name', () => ({ name: vmm.name })],
  ['query-pci', () => queryPci(vmm)],
  ['x-srvm-query-vm', () => queryVm(vmm, migrations.retiredAs)],
  ['x-srvm-query-stats', () => queryStats(vmm)],
  ['x-srvm-query-threads', () => listThreads()],
  ['x-srvm-query-plugins', () => new PluginCatalog().list()],
];

/** `[{"wire": "unix:p1.sock"}, ...]`: the cards that a guest's VFs, or its paravirtual NICs, may arrive on. */
function incomingCards(args: JsonObject, name: string, fallback: readonly object[]): NetRequest[] {
  const value: unknown = args[name] ?? fallback;
  const isText = (each: unknown) => each === undefined || typeof each === 'string';
  if (
    !Array.isArray(value) ||
    !value.every((vf) => isJsonObject(vf) && isText(vf['wire']) && isText(vf['pcap']))
  ) {
    throw new QmpError('GenericError', `Parameter '${name}' must be a list of {wire, pcap}`);
  }
  return (value as { wire?: string; pcap?: string }[]).map(({ wire, pcap }) => ({
    ...(wire === undefined ? {} : { wire }),
    ...(pcap === undefined ? {} : { pcap }),
  }));
}

function text(args: JsonObject, name: string): string {
  const value = args[name];
  if (typeof value !== 'string')
    throw new QmpError('GenericError', `Parameter '${name}' is missing or no string`);
  return value;
}

function optionalText(args: JsonObject, name: string): string | null {
  return args[name] === undefined ? null : text(args, name);
}

function texts(args: JsonObject, name: string): Record<string, string> {
  const value = args[name] ?? {};
  if (!isJsonObject(value) || !Object.values(value).every((each) => typeof each === 'string')) {
    throw new QmpError('GenericError', `Parameter '${name}' must be an object of strings`);
  }
  return value as Record<string, string>;
}
