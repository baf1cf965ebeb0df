/** Exit handlers: every write of a trapped page goes through the plugin and reaches the device, whatever the plugin does. */
import { afterEach, describe, expect, it } from 'vitest';
import { TestHost } from '../../src/plugin/conformance/test-host.js';
import type { Tracker } from '../../src/plugin/definition.js';
import { PluginFailure } from '../../src/plugin/errors.js';
import type { ExitRequest } from '../../src/plugin/exit-api.js';
import { PluginMigrator } from '../../src/plugin/host.js';
import { REG, RX, rxRegister, TX, txRegister } from '../../src/plugin/vf82599/registers.js';
import { AFTER, BEFORE, KEEPS, THROWS, WRITES } from './fixtures/recording-exits.js';

const RECORDING = new URL('./fixtures/recording-exits.js', import.meta.url);
const RX_TAIL = rxRegister(0, RX.RDT);
const TX_TAIL = txRegister(0, TX.TDT);

const hosts: TestHost[] = [];
afterEach(() => {
  for (const host of hosts.splice(0)) host.close();
});

function scene(request: Partial<ExitRequest> = {}) {
  const host = new TestHost();
  hosts.push(host);
  let shared: Int32Array | null = null;
  const exits: ExitRequest = { module: RECORDING, pages: [1], ...request };
  const tracker: Tracker = {
    exits,
    start: (_core, handle) => {
      shared = handle!.shared;
    },
    quiesce: () => undefined,
  };
  const migrator = new PluginMigrator({
    definition: {
      name: 'probe',
      version: '1.0.0',
      apiVersion: 1,
      createTracker: () => tracker,
      saveDevice: () => ({}),
      restoreDevice: () => undefined,
      rollbackDevice: () => undefined,
    },
    options: {},
    access: host.access,
  });
  return { host, migrator, word: (index: number) => shared![index]! };
}

const mappings = (host: TestHost) => [0, 1, 2, 3].map((page) => host.access.parts.pages.mappingOf(page));
const into = (): Uint8Array => new Uint8Array(16 * 256);

describe('an exit handler', () => {
  it('has each write of its pages before the device, which has it once', async () => {
    const { host, migrator, word } = scene();
    host.guestWrite(RX_TAIL, 5);
    await migrator.start();
    expect(mappings(host)).toEqual(['direct', 'trapped', 'direct', 'direct']);
    host.guestWrite(RX_TAIL, 6);
    host.guestWrite(TX_TAIL, 7);
    expect([word(WRITES), word(BEFORE), word(AFTER)]).toEqual([1, 5, 6]);
    expect(host.guestRead(TX_TAIL)).toBe(7);
    await migrator.harvest(into());
    await migrator.stop();
  });

  it("is asked no more when the tracker has ended, and the pages are the device's again", async () => {
    for (const end of ['stop', 'rollback'] as const) {
      const { host, migrator, word } = scene({ pages: [1, 2] });
      await migrator.start();
      await migrator[end]();
      expect(mappings(host)).toEqual(['direct', 'direct', 'direct', 'direct']);
      host.guestWrite(RX_TAIL, 6);
      expect(word(WRITES)).toBe(0);
      expect(host.guestRead(RX_TAIL)).toBe(6);
    }
  });

  it('that throws fails the migration, not the guest', async () => {
    const { host, migrator } = scene();
    await migrator.start();
    host.guestWrite(RX_TAIL, THROWS);
    expect(host.guestRead(RX_TAIL)).toBe(THROWS);
    await expect(migrator.harvest(into())).rejects.toThrow(PluginFailure);
    await expect(migrator.harvest(into())).rejects.toThrow(/exit handler failed: thirteen/);
    host.guestWrite(RX_TAIL, 3);
    expect(host.guestRead(RX_TAIL)).toBe(3);
    await migrator.stop();
  });

  it('that keeps a write to itself has it carried out all the same', async () => {
    const { host, migrator } = scene();
    await migrator.start();
    host.guestWrite(RX_TAIL, KEEPS);
    expect(host.guestRead(RX_TAIL)).toBe(KEEPS);
    await migrator.stop();
  });

  it('is taken anew by the next tracker of the same VF', async () => {
    const first = scene();
    await first.migrator.start();
    first.host.guestWrite(RX_TAIL, 6);
    await first.migrator.stop();
    const later = new PluginMigrator({
      definition: {
        name: 'probe',
        version: '1.0.0',
        apiVersion: 1,
        createTracker: () => ({
          exits: { module: RECORDING, data: 'throws at once', pages: [0] },
          quiesce: () => undefined,
        }),
        saveDevice: () => ({}),
        restoreDevice: () => undefined,
        rollbackDevice: () => undefined,
      },
      options: {},
      access: first.host.access,
    });
    await later.start();
    first.host.guestWrite(RX_TAIL, 7);
    await later.harvest(into());
    first.host.guestWrite(REG.VTEIMS, 1);
    await expect(later.harvest(into())).rejects.toThrow(/no handler today/);
    expect(first.word(WRITES)).toBe(1);
    await later.stop();
  });

  it.each([
    ['no pages', { pages: [] }, /exits of pages \(none\)/],
    ['a page that BAR0 has not', { pages: [4] }, /BAR0 has 0 to 3/],
    ['a module that is none', { module: new URL('./gone.js', import.meta.url) }, /cannot be loaded/],
    [
      'a module without a handler',
      { module: new URL('./fixtures/odd-core.js', import.meta.url) },
      /exports no createExitHandler/,
    ],
  ] as const)('with %s is refused before anything is trapped', async (_title, request, message) => {
    const { host, migrator } = scene(request);
    await expect(migrator.start()).rejects.toThrow(message);
    expect(mappings(host)).toEqual(['direct', 'direct', 'direct', 'direct']);
    await migrator.stop();
  });
});
