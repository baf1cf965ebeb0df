/**
 * Things go wrong in every phase while a Linux guest with the stock driver is migrated and iperf3 flows both ways over two
 * TCP connections: the destination is killed, the link is cut, the plugin throws, the user cancels. The guest goes on where
 * it is, with those same connections, and afterwards it can still be migrated.
 *
 *   pre-migration   the plugin that is asked for is none
 *   reservation     answers of the destination are held back until the fault has happened
 *   pre-copy        the plugin dawdles before a harvest, or throws
 *   stop-and-copy   the plugin dawdles while it saves the device, or throws
 *   commitment      the destination has been told to run: the guest goes on there, whatever becomes of the source
 *
 * One fault a phase; SRVM_SOAK=1: every fault in every phase.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { sleep } from '../../src/cli/lab.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { FAULTY } from './fault-scene.js';
import { LinuxFlow } from './linux-flow.js';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';
import { LinuxTraveller, TRAVELLER_IP } from './linux-traveller.js';
import type { ScenarioMigration } from './migrations.js';
import { SeverableLink } from './severable-link.js';
import { threadNames, until } from './shuttle.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const LIMIT_MS = 300_000;
/** Far longer than a source needs from one answer to its next words. */
const ANSWER_DELAY_MS = 500;

type Fault = 'the link is cut' | 'the user cancels' | 'the destination is killed';
type Mode = 'scan' | 'shadow-doorbell';

/** Phase, where the plugin dawdles to hold the migration there, and what happens then. */
const STRIKES: readonly (readonly [string, string, Fault, Mode])[] = (
  [
    ['reservation', '', 'the user cancels', 'scan'],
    ['pre-copy', 'beforeHarvest', 'the link is cut', 'scan'],
    ['stop-and-copy', 'saveDevice', 'the destination is killed', 'shadow-doorbell'],
    ['reservation', '', 'the link is cut', 'shadow-doorbell'],
    ['reservation', '', 'the destination is killed', 'shadow-doorbell'],
    ['pre-copy', 'beforeHarvest', 'the user cancels', 'shadow-doorbell'],
    ['pre-copy', 'beforeHarvest', 'the destination is killed', 'shadow-doorbell'],
    ['stop-and-copy', 'saveDevice', 'the link is cut', 'scan'],
    ['stop-and-copy', 'saveDevice', 'the user cancels', 'scan'],
  ] as const
).slice(0, SOAK ? 9 : 3);

const THROWS: readonly (readonly [string, string, Mode])[] = (
  [
    ['restoreDevice', 'stop-and-copy', 'scan'],
    ['core', 'pre-copy', 'shadow-doorbell'],
    ['createTracker', 'pre-copy', 'scan'],
    ['start', 'pre-copy', 'shadow-doorbell'],
    ['beforeHarvest', 'pre-copy', 'scan'],
    ['quiesce', 'stop-and-copy', 'shadow-doorbell'],
    ['saveDevice', 'stop-and-copy', 'scan'],
  ] as const
).slice(0, SOAK ? 7 : 1);

describe.skipIf(!isImageBuilt)(
  isImageBuilt ? 'a Linux guest whose migration fails' : NOT_BUILT,
  { timeout: LIMIT_MS },
  () => {
    let guest: LinuxTraveller;
    let flow: LinuxFlow;
    let link: SeverableLink | null = null;
    let links = 0;

    beforeAll(async () => {
      guest = await LinuxTraveller.boot({ plugins: [FAULTY] });
      flow = await LinuxFlow.start(guest, TRAVELLER_IP);
      // both ways once: whatever a process keeps for good it has from now on
      await guest.move('scan');
      await guest.move('shadow-doorbell');
    }, LIMIT_MS);

    afterAll(() => guest?.close());

    afterEach(async () => {
      await link?.close();
      link = null;
      await guest.recover();
    });

    async function expectGuestGoesOn(
      report: MigrationReport,
      outcome: 'failed' | 'cancelled',
      phase: string,
      threads: readonly string[],
    ): Promise<void> {
      expect(report, `${report.error}\n${report.notes.join('\n')}`).toMatchObject({
        outcome,
        failedDuring: phase,
      });
      await flow.goesOn();
      const { qmp } = guest.here;
      expect(await qmp.execute('query-status')).toEqual({ status: 'running', running: true });
      // threads end a moment after the report
      await until('no thread is left', async () => (await threadNames(qmp)).length <= threads.length).catch(
        () => {},
      );
      expect(await threadNames(qmp)).toEqual(threads);
      const { vm } = await qmp.execute<{ vm: { build: string; vfs: { bar0: string[] }[] } }>(
        'x-srvm-query-vm',
      );
      expect(vm.build).toBe('plain');
      expect(vm.vfs[0]!.bar0).toEqual(['direct', 'direct', 'direct', 'direct']);
    }

    async function openLink(): Promise<SeverableLink> {
      link = await SeverableLink.open(`${guest.lab.folder}/link-${++links}.sock`, await guest.address());
      return link;
    }

    /** Starts a migration over a link of its own; `strike` happens in the midst of `phase`. */
    async function struckIn(
      phase: string,
      strike: (link: SeverableLink) => unknown,
      options: ScenarioMigration,
    ): Promise<MigrationReport> {
      const link = await openLink();
      link.holdAnswers = phase === 'reservation';
      let struck: Promise<unknown> | null = null;
      const report = await guest.attempt({
        ...options,
        uri: link.uri,
        watcher: {
          onPhase: (entered) => {
            if (entered === phase) {
              struck ??= until('the source has said something', () => link.bytesSent > 0)
                .then(() => sleep(200))
                .then(() => strike(link));
            }
          },
        },
      });
      await struck;
      return report;
    }

    it('in pre-migration: it asks for a plugin that is none', async () => {
      const uri = await guest.address();
      await expect(guest.attempt({ plugin: 'test/scenarios/plugins', uri })).rejects.toThrow(/plugin/);
      await flow.goesOn();
    });

    it.each(STRIKES)('in %s, %s: %s, by %s', async (phase, dawdleIn, fault, mode) => {
      onTestFailed(() => void process.stderr.write(`${guest.logs()}\n`));
      const threads = await threadNames(guest.here.qmp);
      const strikes: Record<Fault, (link: SeverableLink) => unknown> = {
        'the link is cut': (link) => link.cut(),
        'the user cancels': () => guest.here.qmp.execute('migrate_cancel'),
        'the destination is killed': () => {
          guest.there.child.kill('SIGKILL');
          return guest.there.ended;
        },
      };
      const report = await struckIn(phase, strikes[fault], {
        plugin: FAULTY,
        pluginOptions: { mode, 'dawdle-in': dawdleIn },
      });
      const outcome = fault === 'the user cancels' ? 'cancelled' : 'failed';
      await expectGuestGoesOn(report, outcome, phase, threads);
    });

    it.each(THROWS)('the plugin throws in %s, in %s, by %s', async (place, phase, mode) => {
      const threads = await threadNames(guest.here.qmp);
      const report = await guest.attempt({
        plugin: FAULTY,
        pluginOptions: { mode, 'throw-in': place },
        // a core needs its turns before it throws
        ...(place === 'core' ? { maxBandwidth: 20_000_000 } : {}),
      });
      await expectGuestGoesOn(report, 'failed', phase, threads);
      expect(report.error).toContain('as asked for');
    });

    it('in commitment: the link is cut, and the guest goes on at the destination', async () => {
      const link = await openLink();
      link.answerDelayMs = ANSWER_DELAY_MS;
      let cut: Promise<void> | null = null;
      const report = await guest.attempt({
        mode: 'shadow-doorbell',
        uri: link.uri,
        watcher: {
          onPhase: (entered) => {
            if (entered === 'commitment') cut = sleep(ANSWER_DELAY_MS / 2).then(() => link.cut());
          },
        },
      });
      await cut;
      expect(report).toMatchObject({ outcome: 'outcome-unknown', recovery: 'stay-stopped' });
      await expect(guest.here.qmp.execute('cont')).rejects.toThrow(/never runs here again/);
      // it can do no more than end
      guest.here.child.kill('SIGKILL');
      await guest.here.ended;
      guest.arrived();
      await flow.goesOn();
      expect(await guest.here.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
    });

    it('and it can still be migrated, its connections whole, and its kernel noticed nothing', async () => {
      await guest.move('scan');
      await guest.move('shadow-doorbell');
      await flow.goesOn();
      await flow.end();
      expect(await guest.kernelTrouble()).toEqual([]);
      expect(await guest.linkUps()).toBe(1);
    });
  },
);
