/**
 * What the fault scenarios share: a guest under a probe, a footprint of its process before each fault, and the
 * judgement afterwards: it runs where it was, nothing was left behind, and it can still be migrated.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { expect } from 'vitest';
import type { VmmProcess } from '../../src/cli/lab.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

/** SRVM, with a fault on request. */
export const FAULTY = 'test/scenarios/plugins/faulty';

interface Footprint {
  readonly threads: readonly string[];
  readonly sockets: number;
}

export class FaultScene {
  readonly shuttle: Shuttle;
  readonly probe: EchoProbe;
  #before: Footprint = { threads: [], sockets: 0 };

  private constructor(shuttle: Shuttle) {
    this.shuttle = shuttle;
    this.probe = new EchoProbe({ peer: shuttle.station, targetIp: GUEST_IP, rateHz: 500 });
  }

  static async open(): Promise<FaultScene> {
    const shuttle = await Shuttle.open({ image: 'guest-images/udp-echo', plugins: [FAULTY] });
    const scene = new FaultScene(shuttle);
    scene.probe.start();
    // both ways once: whatever a process keeps for good (thread pool, caches) it has from now on
    await shuttle.hop({ mode: 'scan' });
    await shuttle.hop({ mode: 'shadow-doorbell' });
    return scene;
  }

  /** Before the fault. */
  async begin(): Promise<void> {
    this.#before = await this.#footprint();
  }

  async expectGuestGoesOn(
    report: MigrationReport,
    outcome: 'failed' | 'cancelled',
    phase: string,
  ): Promise<void> {
    const { shuttle, probe } = this;
    expect(report, `${report.error}\n${report.notes.join('\n')}`).toMatchObject({
      outcome,
      failedDuring: phase,
    });
    await repliesGoOn(probe);
    expect(await shuttle.here.qmp.execute('query-status')).toEqual({ status: 'running', running: true });
    await this.#expectNothingLeft();
    const { vm } = await shuttle.here.qmp.execute<{ vm: { build: string; vfs: { bar0: string[] }[] } }>(
      'x-srvm-query-vm',
    );
    expect(vm.build).toBe('plain');
    expect(vm.vfs[0]!.bar0).toEqual(['direct', 'direct', 'direct', 'direct']);
    expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
  }

  /** The process that was to have the guest has nothing of it, and can have it the next time. */
  async expectMigratesAgain(): Promise<void> {
    const { shuttle } = this;
    await shuttle.recover();
    const { vm } = await shuttle.there.qmp.execute<{ vm: unknown }>('x-srvm-query-vm');
    expect(vm).toBeNull();
    await shuttle.hop({ mode: 'scan' });
    await repliesGoOn(this.probe);
  }

  close(): Promise<void> {
    return this.shuttle.close();
  }

  /** Threads and sockets end a moment after the report; what is still there later was forgotten. */
  async #expectNothingLeft(): Promise<void> {
    const before = this.#before;
    await until('threads and sockets are as before', async () => {
      const { threads, sockets } = await this.#footprint();
      return sockets <= before.sockets && threads.length <= before.threads.length;
    }).catch(() => {});
    expect(await this.#footprint()).toEqual(before);
  }

  async #footprint(): Promise<Footprint> {
    const vmm: VmmProcess = this.shuttle.here;
    return { threads: await this.shuttle.threads(vmm), sockets: socketsOf(vmm.child.pid!) };
  }
}

/** 0 where there is no /proc: then there is nothing to compare. */
function socketsOf(pid: number): number {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).filter((fd) => linkOf(`${folder}/${fd}`).startsWith('socket:')).length;
  } catch {
    return 0;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
