import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Channel } from '../../src/migration/channel.js';
import type { Phase, PhaseName } from '../../src/migration/phases.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { HeldClock } from './held-clock.js';
import { createPair, type PairOptions } from './pair.js';

type Pair = Awaited<ReturnType<typeof createPair>>;

interface Ended extends Pair {
  readonly report: MigrationReport;
  /** Null when the guest runs at the destination. */
  readonly destinationError: Error | null;
}

async function runBoth(options: PairOptions, prepare: (pair: Pair) => void = () => {}): Promise<Ended> {
  const pair = await createPair({ device: true, ...options });
  prepare(pair);
  const ran = pair.destination.run().then(
    () => null,
    (error: Error) => error,
  );
  const report = await pair.source.run();
  // a source that never connected leaves the destination listening, as it should
  if (pair.destination.phase === 'listening') pair.destination.cancel();
  return { ...pair, report, destinationError: await ran };
}

/** The guest goes on at the source as if nothing had happened, and nothing of it is left at the destination. */
function expectSourceGoesOn({ vm, device, host, report, destinationError }: Ended, tracked: boolean): void {
  expect(vm.isRunning).toBe(true);
  expect(vm.build).toBe('plain');
  expect(vm.retired).toBeNull();
  expect(vm.throttlePercent).toBe(0);
  expect(destinationError).not.toBeNull();
  expect(host.vm?.isRunning ?? false).toBe(false);
  if (host.vm) expect(host.vm.isDestroyed).toBe(true);
  if (tracked) {
    expect(device!.calls).toContain('rollback');
    expect(device!.calls.at(-1)).toBe('stop');
  }
  expect(report.notes.filter((note) => note.includes('recovering'))).toEqual([]);
}

const BEFORE_COMMITMENT: readonly PhaseName[] = ['reservation', 'pre-copy', 'stop-and-copy'];
const isTracked = (phase: PhaseName): boolean => phase !== 'reservation';

it('a migration that is cancelled before its turn takes neither core nor link', async () => {
  let made = 0;
  const { source, vm } = await createPair({ onStream: () => made++ });
  expect(source.cancel()).toBe(true);
  expect(await source.run()).toMatchObject({ outcome: 'cancelled', recovery: 'close-stream' });
  expect(made).toBe(0);
  expect(vm.calls).toEqual([]);
});

describe('a fault before commitment', () => {
  for (const phase of BEFORE_COMMITMENT) {
    it(`cancel in ${phase}`, async () => {
      let cancel = (): unknown => null;
      const ended = await runBoth(
        { onPhase: (now: Phase) => now.phase === phase && cancel() },
        ({ source }) => {
          cancel = () => source.cancel();
        },
      );
      expect(ended.report).toMatchObject({ outcome: 'cancelled', failedDuring: phase });
      expect(ended.source.info().status).toBe('cancelled');
      expectSourceGoesOn(ended, isTracked(phase));
    });

    it(`link cut in ${phase}`, async () => {
      let link: Channel | null = null;
      const ended = await runBoth({
        // in reservation there is no link yet: it is cut as soon as it is there
        wrap: (channel) => {
          link = channel;
          if (phase === 'reservation') void channel.close();
          return channel;
        },
        onPhase: (now) => void (now.phase === phase && link?.close()),
      });
      expect(ended.report).toMatchObject({ outcome: 'failed', failedDuring: phase });
      expectSourceGoesOn(ended, isTracked(phase));
    });

    it(`destination gives up in ${phase}`, async () => {
      let giveUp = (): unknown => null;
      const ended = await runBoth(
        { onPhase: (now) => now.phase === phase && giveUp() },
        ({ destination }) => {
          giveUp = () => destination.cancel();
        },
      );
      expect(ended.report).toMatchObject({ outcome: 'failed', failedDuring: phase });
      expect(ended.report.error).toMatch(/cancelled|closed|cannot reach/);
      expectSourceGoesOn(ended, isTracked(phase));
    });
  }

  for (const call of ['start', 'harvest', 'quiesce', 'saveState']) {
    it(`device throws in ${call}`, async () => {
      const ended = await runBoth({}, ({ device }) => {
        device!.hook = (now) => {
          if (now === call) throw new Error(`no ${call} today`);
        };
      });
      expect(ended.report).toMatchObject({ outcome: 'failed', error: `no ${call} today` });
      expectSourceGoesOn(ended, true);
      // the destination is told why
      expect(ended.destinationError!.message).toContain(`no ${call} today`);
    });

    it(`device hangs in ${call}`, async () => {
      let release = (): void => {};
      const clock = new HeldClock();
      const ended = await runBoth({ parameters: { 'x-srvm-step-timeout': 600 }, clock }, ({ device }) => {
        device!.hook = (now) => {
          if (now !== call) return;
          clock.release();
          setTimeout(() => release(), 1600);
          return new Promise<void>((resolve) => {
            release = resolve;
          });
        };
      });
      expect(ended.report.outcome).toBe('failed');
      expect(ended.report.error).toContain('took longer than 600 ms');
      expectSourceGoesOn(ended, true);
    });
  }

  for (const call of ['pause', 'useBuild logging', 'saveVmState']) {
    it(`the VM throws in ${call}`, async () => {
      const ended = await runBoth({}, ({ vm }) => {
        vm.hook = (now) => {
          if (now === call) throw new Error(`no ${call} today`);
        };
      });
      expect(ended.report).toMatchObject({ outcome: 'failed', error: `no ${call} today` });
      expectSourceGoesOn(ended, true);
    });
  }

  for (const call of ['reserve', 'prepare', 'restoreVmState', 'device restoreState']) {
    it(`the destination throws in ${call}`, async () => {
      const ended = await runBoth({}, ({ host }) => {
        host.hook = async (now) => {
          if (now === call) throw new Error(`no ${call} today`);
        };
      });
      expect(ended.report.outcome).toBe('failed');
      expect(ended.report.error).toContain(`no ${call} today`);
      expectSourceGoesOn(ended, call !== 'reserve');
    });
  }

  it('a pause that completes late does not leave the guest standing', async () => {
    const clock = new HeldClock();
    const ended = await runBoth({ parameters: { 'x-srvm-step-timeout': 600 }, clock }, ({ vm }) => {
      vm.hook = (call) => {
        if (call !== 'pause') return;
        clock.release();
        return new Promise((resolve) => setTimeout(resolve, 1600));
      };
    });
    expect(ended.report.outcome).toBe('failed');
    expectSourceGoesOn(ended, true);
    expect(ended.vm.calls.indexOf('resume')).toBeGreaterThan(ended.vm.calls.indexOf('pause'));
  });

  it('a VM that its user had paused stays paused', async () => {
    const ended = await runBoth({}, ({ vm, device }) => {
      vm.isRunning = false;
      device!.hook = (call) => {
        if (call === 'quiesce') throw new Error('no');
      };
    });
    expect(ended.report.outcome).toBe('failed');
    expect(ended.vm.isRunning).toBe(false);
    expect(ended.vm.calls).not.toContain('pause');
  });

  it('a silent source is given up by the destination', async () => {
    const clock = new HeldClock();
    const ended = await runBoth({ silenceLimitMs: 600, clock }, ({ device }) => {
      device!.hook = (call) => {
        if (call !== 'harvest') return;
        clock.release();
        return new Promise((resolve) => setTimeout(resolve, 1600));
      };
    });
    expect(ended.report.error).toContain('silent');
    expectSourceGoesOn(ended, true);
  });
});

it('a guest that stands still does not wait for a link that hangs', async () => {
  let hang = false;
  const order: string[] = [];
  const ended = await runBoth(
    {
      wrap: (channel) => ({
        receive: (sink) => channel.receive(sink),
        send: (bytes) => (hang ? new Promise(() => {}) : channel.send(bytes)),
        close: async () => {
          await new Promise((resolve) => setTimeout(resolve, 300));
          order.push('link closed');
          await channel.close();
        },
      }),
    },
    ({ vm, device }) => {
      vm.hook = (call) => void order.push(call);
      device!.hook = (call) => {
        if (call === 'saveState') throw new Error('no state today');
        if (call === 'quiesce') hang = true;
      };
    },
  );
  expect(ended.report.error).toBe('no state today');
  expect(order.indexOf('resume')).toBeGreaterThan(0);
  expect(order.indexOf('resume')).toBeLessThan(order.indexOf('link closed'));
  expectSourceGoesOn(ended, true);
});

it('a destination that takes nothing any more is given up', async () => {
  const ended = await runBoth({
    ramBytes: 64 * 1024 * 1024,
    stallLimitMs: 200,
    wrap: (channel) => ({
      receive: (sink) => channel.receive(sink),
      close: () => channel.close(),
      // as a socket whose peer's window never opens
      send: (bytes) => (bytes.length > 100_000 ? new Promise(() => {}) : channel.send(bytes)),
    }),
    // page numbers: none of the pages can be told in a word
    prepare: (memory) => {
      const words = new Uint32Array(memory.buffer);
      for (let at = 0; at < words.length; at += 1024) words[at] = at + 1;
    },
  });
  expect(ended.report).toMatchObject({ outcome: 'failed', failedDuring: 'pre-copy' });
  expect(ended.report.error).toContain('took nothing for 200 ms');
  expectSourceGoesOn(ended, true);
});

describe('a fault after commitment', () => {
  it('no answer to COMMIT: the source stays stopped and says so', async () => {
    const clock = new HeldClock();
    let release = (): void => {};
    const onPhase = ({ phase }: Phase): void => {
      if (phase === 'failed') release();
    };
    const parameters = { 'x-srvm-step-timeout': 600 };
    const ended = await runBoth({ parameters, clock, onPhase }, ({ host }) => {
      host.hook = (call) => {
        if (call !== 'resume') return;
        clock.release();
        return new Promise((resolve) => {
          release = resolve;
        });
      };
    });
    expect(ended.report).toMatchObject({
      outcome: 'outcome-unknown',
      failedDuring: 'commitment',
      recovery: 'stay-stopped',
    });
    expect(ended.report.error).toContain('look at the destination');
    expect(ended.vm.isRunning).toBe(false);
    expect(ended.vm.calls).not.toContain('resume');
    expect(ended.vm.retired).toBe('outcome-unknown');
    expect(ended.host.vm!.isRunning).toBe(true);
    expect(ended.host.vm!.isDestroyed).toBe(false);
  });

  it('link cut right after COMMIT: at most the destination runs', async () => {
    let link: Channel | null = null;
    const ended = await runBoth({
      wrap: (channel) => {
        link = channel;
        return channel;
      },
      onPhase: (now) => now.phase === 'commitment' && setImmediate(() => link?.close()),
    });
    expect(ended.vm.isRunning).toBe(false);
    expect(ended.vm.calls).not.toContain('resume');
    expect(['completed', 'outcome-unknown']).toContain(ended.report.outcome);
  });

  it('cancel comes too late', async () => {
    const answers: boolean[] = [];
    let cancel = (): unknown => null;
    const ended = await runBoth(
      { onPhase: (now) => (now.phase === 'commitment' || now.phase === 'activation') && cancel() },
      ({ source }) => {
        cancel = () => answers.push(source.cancel());
      },
    );
    expect(answers).toEqual([false, false]);
    expect(ended.report.outcome).toBe('completed');
    expect(ended.host.vm!.isRunning).toBe(true);
  });

  it('an announcement that fails is a note, no more', async () => {
    const ended = await runBoth({}, ({ host }) => {
      host.hook = (call) => {
        if (call === 'device announce') throw new Error('no cable');
      };
    });
    expect(ended.report.outcome).toBe('completed');
    const result = await ended.destination.run();
    expect(result.notes).toEqual(['announcing to the network: no cable']);
  });
});

it('whatever happens whenever: never two guests, and never none without saying so', {
  timeout: 240_000,
}, async () => {
  const fault = fc.record({
    kind: fc.constantFrom('cancel', 'cut', 'give-up'),
    afterMs: fc.integer({ min: 0, max: 40 }),
    turns: fc.integer({ min: 0, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(fault, async ({ kind, afterMs, turns }) => {
      let link: Channel | null = null;
      const ended = await runBoth(
        {
          wrap: (channel) => {
            link = channel;
            return channel;
          },
        },
        ({ source, destination }) => {
          const strike = (): void => {
            if (kind === 'cancel') source.cancel();
            else if (kind === 'cut') void link?.close();
            else destination.cancel();
          };
          const after = async (): Promise<void> => {
            await new Promise((resolve) => setTimeout(resolve, afterMs));
            for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
            strike();
          };
          void after();
        },
      );
      const there = ended.host.vm?.isRunning === true && !ended.host.vm.isDestroyed;
      const here = ended.vm.isRunning;
      expect(here && there).toBe(false);
      if (!here && !there) expect(ended.report.outcome).toBe('outcome-unknown');
      if (here) expect(ended.vm.build).toBe('plain');
      if (ended.report.outcome === 'completed') expect(there).toBe(true);
    }),
    { numRuns: 60, seed: 20260 },
  );
});
