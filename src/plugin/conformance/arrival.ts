/** The other end of a rig's migration: a fresh host that gets the copied RAM and the device's state. */
import type { PluginDefinition } from '../definition.js';
import { PluginMigrator } from '../host.js';
import { resolveOptions } from '../loader.js';
import { testFrame } from './mini-driver.js';
import type { MigrationRig } from './rig.js';
import { TEST_MAC, TestHost } from './test-host.js';

export class Arrival {
  readonly host: TestHost;
  readonly rig: MigrationRig;
  readonly migrator: PluginMigrator;

  constructor(
    rig: MigrationRig,
    definition: PluginDefinition,
    options: Readonly<Record<string, string>> = {},
  ) {
    this.rig = rig;
    const assist = definition.requires?.includes('migration-assist') === true;
    this.host = new TestHost({ incoming: true, assist });
    this.migrator = new PluginMigrator({
      definition,
      options: resolveOptions(definition, options),
      access: this.host.access,
    });
  }

  /** RAM, VM and device arrive; the driver, which knows of nothing, goes on here. */
  async activate(state: Uint8Array): Promise<void> {
    await this.restore(state);
    this.rig.driver.host = this.host;
    await this.rig.whileStepping(this.migrator.announce(), () => this.engine());
  }

  /** Everything but the guest, which does not run yet. */
  async restore(state: Uint8Array): Promise<void> {
    this.host.ram.set(this.rig.copy);
    this.host.takeSlotsFrom(this.rig.host);
    await this.rig.whileStepping(this.migrator.restoreState(state), () => this.engine());
  }

  offer(count: number, bytes: number): void {
    for (let i = 0; i < count; i++) {
      const frame = testFrame(TEST_MAC, this.rig.offered, bytes);
      if (this.host.peer.transmit(frame, 0, frame.length)) this.rig.offered++;
    }
    this.host.peer.flush();
  }

  engine(): void {
    this.host.engine.step();
    this.host.clock.advance(5_000);
  }

  close(): void {
    this.host.close();
  }
}
