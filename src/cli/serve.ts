/**
 * A VMM process in the foreground: control socket up, VM begun, until `quit`, a signal, or the guest's end.
 */
import { qmpCommands } from '../control/commands.js';
import { QmpClient } from '../control/qmp-client.js';
import { QmpServer } from '../control/qmp-server.js';
import { controlSocketOf } from '../control/runtime-dir.js';
import { Vmm } from '../control/vmm.js';
import { VmmMigrations } from '../control/vmm-migration.js';
import { type InterruptFlags, interruptOptions } from './interrupt-options.js';
import { OptionError } from './options.js';
import { GuestTerminal } from './terminal.js';

export interface ServeOptions {
  readonly name: string;
  /** true: lines are printed; 'terminal': this terminal is the guest's. */
  readonly console: boolean | 'terminal';
  readonly linkSpeedMbps: number | undefined;
  /** Longest packet of the ports, bytes. */
  readonly mtu: number | undefined;
  /** Of the ports: 1 or 2. */
  readonly trafficClasses: number | undefined;
  readonly interrupts: InterruptFlags;
  /** The host's IOMMU keeps dirty bits. */
  readonly iommuDirtyBits: boolean;
  /** Further plugins, by folder or package. */
  readonly plugins?: readonly string[];
  /** Makes the VM, or waits for one; returns what to say. */
  begin(context: { vmm: Vmm; migrations: VmmMigrations }): Promise<string>;
}

export async function serveVmm(options: ServeOptions): Promise<void> {
  const { name } = options;
  const path = controlSocketOf(name);
  await refuseTakenName(name, path);
  let server: QmpServer | null = null;
  let quit: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    quit = resolve;
  });
  const terminal =
    options.console === 'terminal'
      ? new GuestTerminal(
          () => vmm.vm,
          () => quit(),
        )
      : null;
  const vmm: Vmm = new Vmm({
    name,
    iommuDirtyBits: options.iommuDirtyBits,
    interrupts: interruptOptions(options.interrupts),
    emit: (event, data) => server?.emit(event, data),
    ...(options.linkSpeedMbps === undefined ? {} : { linkSpeedMbps: options.linkSpeedMbps }),
    ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
    ...(options.trafficClasses === undefined ? {} : { trafficClasses: options.trafficClasses }),
    ...(terminal === null ? {} : { onTerminal: (bytes: Uint8Array) => terminal.print(bytes) }),
    ...(options.console === true
      ? { onConsole: (line: string) => process.stdout.write(`[${name}] ${line}\n`) }
      : {}),
  });
  const migrations = new VmmMigrations(vmm, options.plugins ?? []);
  process.once('SIGINT', quit);
  process.once('SIGTERM', quit);
  try {
    const said = await options.begin({ vmm, migrations });
    server = new QmpServer(path, qmpCommands({ vmm, migrations, quit }), 'srvm');
    await server.listen();
    process.stderr.write(`srvm: '${name}': ${said}; control socket ${path}\n`);
    terminal?.open();
    await ended;
    server.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
  } finally {
    terminal?.close();
    await migrations.close();
    await server?.close();
    await vmm.close();
  }
}

async function refuseTakenName(name: string, path: string): Promise<void> {
  const client = await QmpClient.connect(path).catch(() => null);
  if (client === null) return;
  client.close();
  throw new OptionError(`--name: a VM called '${name}' runs already; choose another name`);
}
