/**
 * Guests whose driver helps with the migration, under UDP load between two processes: what every hop of theirs must be, for the
 * scenarios and the soaks.
 */
import { expect } from 'vitest';
import { EchoProbe, type EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { expectCountersGrown } from './guest-counters.js';
import { GUEST_IP, repliesGoOn, Shuttle } from './shuttle.js';

const PROBE_HZ = 1000;

export interface AssistedGuest {
  readonly image: string;
  readonly plugin: string;
}

export const COMPSC: AssistedGuest = { image: 'guest-images/udp-echo-compsc', plugin: 'plugins/compsc' };
export const SUSPEND: AssistedGuest = {
  image: 'guest-images/udp-echo-suspend',
  plugin: 'plugins/vf-suspend',
};

/** Steps of a method, and the phase that a failure in each ends: those that leave most to be undone; SRVM_SOAK=1 makes it all. */
export const STEPS: readonly (readonly [string, string])[] = [
  ['start', 'pre-copy'],
  ['beforePause', 'stop-and-copy'],
  ['restoreDevice', 'stop-and-copy'],
  ...(process.env['SRVM_SOAK']
    ? ([
        ['createTracker', 'pre-copy'],
        ['quiesce', 'stop-and-copy'],
        ['saveDevice', 'stop-and-copy'],
      ] as const)
    : []),
];
const FAULTY_HELP = 'test/scenarios/plugins/faulty-help';

export class AssistedRun {
  readonly guest: AssistedGuest;
  readonly shuttle: Shuttle;
  readonly probe: EchoProbe;
  #counters: readonly bigint[];

  private constructor(guest: AssistedGuest, shuttle: Shuttle, counters: readonly bigint[]) {
    this.guest = guest;
    this.shuttle = shuttle;
    this.probe = new EchoProbe({
      peer: shuttle.station,
      targetIp: GUEST_IP,
      rateHz: PROBE_HZ,
      payloadBytes: 400,
    });
    this.#counters = counters;
  }

  static async open(guest: AssistedGuest, append = ''): Promise<AssistedRun> {
    const shuttle = await Shuttle.open({ image: guest.image, plugins: [guest.plugin, FAULTY_HELP], append });
    const run = new AssistedRun(guest, shuttle, await shuttle.guestCounters());
    run.probe.start();
    await repliesGoOn(run.probe);
    return run;
  }

  /** One migration that has to succeed, with the verifier on; the guest goes on and has lost no count. */
  async hop(): Promise<MigrationReport> {
    const report = await this.shuttle.hop({ plugin: this.guest.plugin, slowFirstRound: true });
    const { verdict, notes } = report;
    expect(verdict?.pagesCompared).toBe(report.ramBytes / 4096);
    expect(verdict?.pagesDiffering, notes.join('; ')).toBe(0);
    // DMA wrote them, and the vCPU's log has them all
    expect(report.dmaCoverage?.pagesWritten).toBeGreaterThan(0);
    expect(report.dmaCoverage?.pagesInNoLog).toBe(0);
    await repliesGoOn(this.probe, 300);
    const now = await this.shuttle.guestCounters();
    expectCountersGrown(this.#counters, now);
    this.#counters = now;
    return report;
  }

  /** A migration that fails once the step has been taken: the guest goes on where it is, its VF as before. */
  async expectUndone(step: string, phase: string): Promise<void> {
    const { shuttle, guest } = this;
    const method = guest.plugin.slice('plugins/'.length);
    const report = await shuttle.attempt({
      plugin: FAULTY_HELP,
      pluginOptions: { method, 'throw-in': step },
    });
    try {
      expect(report, report.error ?? '').toMatchObject({ outcome: 'failed', failedDuring: phase });
      expect(report.error).toContain('as asked for');
      expect(report.notes).toEqual([]);
      await repliesGoOn(this.probe);
      expect(await shuttle.here.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
    } finally {
      await shuttle.recover();
    }
  }

  /** No reply was wrong, whatever was lost or came twice. */
  end(): EchoProbeReport {
    this.probe.stop();
    const seen = this.probe.report();
    expect(seen.corrupt).toBe(0);
    return seen;
  }

  close(): Promise<void> {
    return this.shuttle.close();
  }
}
