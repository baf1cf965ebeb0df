/**
 * A source host under migration with a plugin, one step at a time, and the bookkeeping that judges it:
 *
 *   marked by the tracker, round by round   against   the IOMMU's ground truth of the same round
 *   a copy made as the migration engine would make it   against   guest RAM at the end, byte for byte
 */
import { claimsOf, type PluginDefinition } from '../definition.js';
import { PluginMigrator } from '../host.js';
import { resolveOptions } from '../loader.js';
import { InlineCore } from './inline-core.js';
import { type DriverHabits, MiniDriver, STOCK_HABITS, testFrame } from './mini-driver.js';
import { TEST_MAC, TestHost } from './test-host.js';

const PAGE_BYTES = 4096;

export interface RigOptions {
  readonly options?: Readonly<Record<string, string>>;
  readonly habits?: Partial<DriverHabits>;
  readonly queues?: number;
}

/** What a plugin requires of a source's host, it gets. */
const hostFor = ({ requires = [] }: PluginDefinition): TestHost =>
  new TestHost({
    iommuDirtyBits: requires.includes('iommu-dirty-bits'),
    assist: requires.includes('migration-assist'),
  });

export class MigrationRig {
  readonly host: TestHost;
  readonly driver: MiniDriver;
  readonly migrator: PluginMigrator;
  /** What the destination has, as rounds bring it over. */
  readonly copy: Uint8Array;
  /** Pages that DMA wrote and that were not marked in their round, and the other way round. */
  readonly missed = new Set<number>();
  readonly overMarked = new Set<number>();
  readonly notes: string[] = [];
  core: InlineCore | null = null;
  /** Frames offered so far; the next one's sequence number. */
  offered = 0;
  readonly #marksAtPauseOnly: boolean;
  /** Pages that DMA wrote and that will be marked at the pause, or never. */
  readonly #owed = new Set<number>();

  constructor(definition: PluginDefinition, rig: RigOptions = {}) {
    const host = hostFor(definition);
    this.host = host;
    this.#marksAtPauseOnly = claimsOf(definition).marksAtPauseOnly;
    this.driver = new MiniDriver(host, { ...STOCK_HABITS, ...rig.habits }, rig.queues ?? 1);
    this.copy = new Uint8Array(host.ram.length);
    host.onGuestWaits = () => this.#everyoneElse();
    this.migrator = new PluginMigrator({
      definition,
      options: resolveOptions(definition, rig.options ?? {}),
      access: host.access,
      startCore: async (start) => {
        this.core = await InlineCore.start(start, host.clock, () => this.engine());
        return this.core;
      },
      onNote: (text) => this.notes.push(text),
    });
  }

  /** The peer sends `count` frames of `bytes`; with `flows`, of so many senders in turn. */
  offer(count: number, bytes: number, flows = 0): void {
    for (let i = 0; i < count; i++) {
      const flow = flows > 0 ? 1 + (this.offered % flows) : undefined;
      const frame = testFrame(TEST_MAC, this.offered, bytes, flow);
      if (this.host.peer.transmit(frame, 0, frame.length)) this.offered++;
    }
    this.host.peer.flush();
  }

  engine(): void {
    this.host.engine.step();
    this.host.clock.advance(5_000);
  }

  step(): void {
    this.core?.step();
    this.host.clock.advance(1_000);
  }

  /** Pre-copy begins: everything is copied once. */
  async start(): Promise<void> {
    this.host.takeTruth();
    this.driver.cpuDirty.clear();
    await this.migrator.start();
    this.copy.set(this.host.ram);
    this.host.takeTruth();
  }

  /** One round: takes the marks, judges them, copies what was marked or stored to. */
  round(): Promise<void> {
    return this.#round(false);
  }

  async #round(isLast: boolean): Promise<void> {
    const marks = new Uint8Array(this.host.ram.length / PAGE_BYTES);
    await this.migrator.harvest(marks);
    for (const page of this.driver.cpuDirty) this.#copyPage(page);
    this.driver.cpuDirty.clear();
    const truth = this.host.takeTruth();
    for (const page of truth) this.#owed.add(page);
    marks.forEach((marked, page) => {
      if (marked === 0) return;
      if (!this.#owed.delete(page)) this.overMarked.add(page);
      this.#copyPage(page);
    });
    if (this.#marksAtPauseOnly && !isLast) return;
    for (const page of this.#owed) this.missed.add(page);
    this.#owed.clear();
  }

  /** The vCPU stands still: device stopped, last round, state. */
  async stopAndCopy(): Promise<Uint8Array> {
    await this.whileStepping(this.migrator.quiesce());
    await this.#round(true);
    return this.migrator.saveState();
  }

  /** Pages whose bytes at the destination are not the source's. */
  differingPages(): number[] {
    const pages: number[] = [];
    for (let page = 0; page < this.copy.length / PAGE_BYTES; page++) {
      const from = page * PAGE_BYTES;
      const here = Buffer.from(this.host.memory, from, PAGE_BYTES);
      if (here.compare(this.copy, from, from + PAGE_BYTES) !== 0) pages.push(page);
    }
    return pages;
  }

  /** Awaits something that needs a device to go on. */
  async whileStepping<T>(work: Promise<T>, step: () => void = () => this.engine()): Promise<T> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    work.then(end, end);
    while (!done) {
      step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return work;
  }

  close(): void {
    this.host.close();
  }

  #everyoneElse(): void {
    this.core?.step();
    this.engine();
  }

  #copyPage(page: number): void {
    const from = page * PAGE_BYTES;
    this.copy.set(this.host.ram.subarray(from, from + PAGE_BYTES), from);
  }
}
