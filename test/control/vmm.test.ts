/** One VMM in this process, over its QMP commands: the lifecycle, the facts it tells, and what it refuses. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { qmpCommands } from '../../src/control/commands.js';
import { ImageManifestError, listImages, readImage } from '../../src/control/images.js';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import { PluginCatalog } from '../../src/control/plugin-catalog.js';
import { QmpClient } from '../../src/control/qmp-client.js';
import { QmpServer } from '../../src/control/qmp-server.js';
import { Vmm } from '../../src/control/vmm.js';
import { VmmMigrations } from '../../src/control/vmm-migration.js';

const IMAGES = join(PACKAGE_ROOT, 'guest-images');
let folder: string;
let vmm: Vmm;
let migrations: VmmMigrations;
let server: QmpServer;
let client: QmpClient;
let asked = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'srvm-vmm-'));
  vmm = new Vmm({ name: 'a', emit: (event, data) => server?.emit(event, data) });
  migrations = new VmmMigrations(vmm, []);
  const quit = () => {
    asked++;
  };
  server = new QmpServer(join(folder, 'a.qmp'), qmpCommands({ vmm, migrations, quit }), 'test');
  await server.listen();
  client = await QmpClient.connect(server.path);
  const vm = await vmm.createVm(readImage(join(IMAGES, 'idle')), 16 * 2 ** 20, '', [
    { wire: 'null', trust: false },
  ]);
  vm.start();
});
afterAll(async () => {
  client.close();
  await migrations.close();
  await server.close();
  await vmm.close();
  rmSync(folder, { recursive: true });
});

test('stop and cont, with their events', async () => {
  const events: string[] = [];
  // the guest's start may still be on its way here
  await client.execute('query-status');
  client.onEvent = ({ event }) => events.push(event);
  expect(await client.execute('query-status')).toEqual({ status: 'running', running: true });
  await client.execute('stop');
  expect(await client.execute('query-status')).toEqual({ status: 'paused', running: false });
  await client.execute('cont');
  expect(await client.execute('query-status')).toEqual({ status: 'running', running: true });
  expect(events).toEqual(['STOP', 'RESUME']);
});

test('query-pci shows the host bridge and the VF', async () => {
  const [bus] = await client.execute<{ devices: { id: object; slot: number }[] }[]>('query-pci');
  expect(bus!.devices.map(({ slot, id }) => [slot, id])).toEqual([
    [0, { vendor: 0x8086, device: 0x1237 }],
    [1, { vendor: 0x8086, device: 0x10ed }],
  ]);
});

test('migration parameters: set, told, refused with what is possible', async () => {
  await client.execute('migrate-set-parameters', { 'downtime-limit': 20 });
  expect(await client.execute('query-migrate-parameters')).toMatchObject({
    'downtime-limit': 20,
    'max-bandwidth': 0,
  });
  await expect(client.execute('migrate-set-parameters', { 'downtime-limit': -1 })).rejects.toThrow(
    /downtime-limit/,
  );
  await expect(client.execute('migrate-set-parameters', { nonsense: 1 })).rejects.toThrow(/nonsense/);
});

test('a migration that nobody awaits fails, and the guest runs on', async () => {
  const over = new Promise<void>((resolve) => {
    client.onEvent = ({ event }) => event === 'X_SRVM_MIGRATION_REPORT' && resolve();
  });
  await client.execute('migrate', { uri: `unix:${folder}/nobody.sock` });
  await over;
  expect(await client.execute('query-migrate')).toMatchObject({ status: 'failed' });
  expect(await client.execute('query-status')).toEqual({ status: 'running', running: true });
  await client.execute('migrate_cancel'); // nothing is under way: no error, as QEMU
});

test('what makes no sense is refused in one line', async () => {
  await expect(client.execute('migrate', {})).rejects.toThrow("'uri' is missing");
  await expect(client.execute('migrate', { uri: 'ftp:x' })).rejects.toThrow(/no migration address/);
  const options = {
    uri: 'tcp:127.0.0.1:1',
    'x-srvm-plugin': 'plugins/srvm',
    'x-srvm-plugin-options': { mode: 'guess' },
  };
  await expect(client.execute('migrate', options)).rejects.toThrow(/mode=guess/);
  await expect(client.execute('migrate', { ...options, 'x-srvm-plugin': './nowhere' })).rejects.toThrow(
    /nowhere/,
  );
  await expect(client.execute('migrate-incoming', { uri: `unix:${folder}/in.sock` })).rejects.toThrow(
    /has a VM already/,
  );
});

test('facts: threads, counters, the VM', async () => {
  expect(await client.execute('x-srvm-query-vm')).toMatchObject({
    name: 'a',
    vm: { image: 'idle', build: 'plain' },
  });
  expect(await client.execute('x-srvm-query-stats')).toMatchObject({
    vfs: [{ vf: 0 }],
    vcpu: { build: 'plain' },
  });
  expect((await client.execute<unknown[]>('x-srvm-query-threads')).length).toBeGreaterThan(2);
});

test('quit asks the process to end', async () => {
  await client.execute('quit');
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBe(1);
});

test('images and plugins that ship are found; what is none is refused', async () => {
  expect(listImages(IMAGES).map((image) => image.name)).toContain('udp-echo');
  expect(() => readImage(join(IMAGES, 'lib'))).toThrow(ImageManifestError);
  const plugins = await new PluginCatalog().list();
  // one that could not be loaded would be here by its error
  for (const plugin of plugins) expect(plugin).toHaveProperty('name');
  expect(plugins).toEqual(
    expect.arrayContaining(['none', 'srvm'].map((name) => expect.objectContaining({ name }))),
  );
});
