import { describe, expect, it } from 'vitest';
import { migrationRecord } from '../../src/cli/migration-record.js';
import type { VmmMigrationReport } from '../../src/control/vmm-migration.js';
import { EXIT_REASON, type ExitCounts } from '../../src/hypervisor/vm-exits.js';
import { emptyDowntimeParts, type RoundReport } from '../../src/migration/report.js';

const round = (number: number, startedAtMs: number, guestStopped: boolean): RoundReport => ({
  round: number,
  guestStopped,
  startedAtMs,
  durationMs: 10,
  dirtiedByCpu: 7,
  dirtiedByDma: 5,
  dirtiedByBoth: 1,
  dataPages: 13,
  zeroPages: 0,
  bytes: 60_000,
  bytesPerSecond: 6e6,
  expectedDowntimeMs: 1,
  throttlePercent: 0,
  notes: [],
});

const REPORT: VmmMigrationReport = {
  schemaVersion: 1,
  vm: 'a',
  image: 'kv-store',
  ramBytes: 1 << 24,
  outcome: 'completed',
  error: null,
  failedDuring: null,
  recovery: null,
  startedAtNs: 5e9,
  totalMs: 40,
  setupMs: 5,
  downtimeMs: 12,
  downtimeParts: emptyDowntimeParts(),
  stoppedAtMs: 20,
  runningAtMs: 32,
  phases: [
    { phase: 'pre-copy', atMs: 5 },
    { phase: 'stop-and-copy', atMs: 20 },
    { phase: 'done', atMs: 40.1 },
  ],
  rounds: [round(1, 6, false), round(2, 21, true)],
  bytes: 120_000,
  senderCpuNs: null,
  tracker: null,
  verdict: null,
  dmaCoverage: null,
  notes: ['scan was lapped'],
  exits: Object.fromEntries(Object.keys(EXIT_REASON).map((reason) => [reason, 0])) as ExitCounts,
  cores: [{ atMs: 30, percent: { vcpu: 80, nic: 40 } }],
};

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur?: number;
  readonly args?: { readonly value?: number };
}

describe('a recorded migration', () => {
  const text = migrationRecord(REPORT, {
    inputs: { loadSeed: 1 },
    plugin: 'plugins/srvm',
    mode: 'scan',
    series: { probes: { startNs: 4e9, bucketMs: 100, counts: [10, 0], sums: [900, 0], maxima: [100, 0] } },
  });
  const trace = JSON.parse(text) as { traceEvents: TraceEvent[]; otherData: Record<string, unknown> };
  const named = (name: string) => trace.traceEvents.filter((event) => event.name === name);

  it('has phases, rounds, cores and the peer on one axis', () => {
    // time zero is the first measurement: a second before the migration
    expect(named('pre-copy')).toMatchObject([{ ph: 'X', ts: 1_005_000, dur: 15_000 }]);
    expect(named('done')).toMatchObject([{ ts: 1_040_100, dur: 0 }]);
    expect(named('round 2')).toMatchObject([{ ph: 'X', ts: 1_021_000, dur: 10_000 }]);
    expect(named('the guest runs')).toMatchObject([{ ph: 'i', ts: 1_032_000 }]);
    expect(named('vcpu % of a core')).toMatchObject([{ ph: 'C', args: { value: 80 } }]);
    expect(named('probes per second').map(({ ts, args }) => [ts, args?.value])).toEqual([
      [0, 100],
      [100_000, 0],
    ]);
    expect(named('scan was lapped')).toHaveLength(1);
  });

  it('says what the run was given, and what can be replayed instead', () => {
    expect(trace.otherData).toMatchObject({
      inputs: { loadSeed: 1 },
      nearestSimulation:
        'srvm simulate --seed 1 --plugin plugins/srvm --mode scan --image kv-store --faults none',
    });
  });
});
