/** A core that died before the host had hold of it: the page that it took is given back all the same. */
import { expect, it } from 'vitest';
import srvm from '../../../plugins/srvm/plugin.js';
import { InlineCore } from '../../../src/plugin/conformance/inline-core.js';
import { MiniDriver } from '../../../src/plugin/conformance/mini-driver.js';
import { TestHost } from '../../../src/plugin/conformance/test-host.js';
import { PluginMigrator } from '../../../src/plugin/host.js';
import { ENABLE, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';

it('a core that dies between taking the page and being handed over', async () => {
  const host = new TestHost();
  const driver = new MiniDriver(host);
  driver.up();
  const migrator = new PluginMigrator({
    definition: srvm,
    options: { mode: 'shadow-doorbell' },
    access: host.access,
    startCore: async (start) => {
      await InlineCore.start(start, host.clock, () => host.engine.step());
      throw new Error('it died');
    },
  });
  await expect(migrator.start()).rejects.toThrow('it died');
  expect(host.mapping).toBe('shadow');
  await migrator.rollback();
  await migrator.stop();
  expect(host.mapping).toBe('direct');
  expect(host.guestRead(rxRegister(0, RX.RXDCTL)) & ENABLE).toBe(ENABLE);
  expect(host.guestRead(rxRegister(0, RX.RDT))).toBe(driver.habits.rxSlots - 1);
  host.close();
});
