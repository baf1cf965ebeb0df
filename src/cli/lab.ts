/**
 * A lab on one machine: VMM processes, one network segment between them, and peers that send traffic. The demo, the
 * scenario tests and the benchmarks stand on it.
 *
 *   this process:   peers == cables == learning switch == unix sockets
 *                                                             |      |
 *   child processes:                                     srvm run   srvm receive
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QmpClient } from '../control/qmp-client.js';
import { controlSocketOf } from '../control/runtime-dir.js';
import { realClock } from '../hardware/clock.js';
import { createCable } from '../hardware/wire/cable.js';
import { LearningSwitch, SOCKET_QUIET_MS } from '../hardware/wire/learning-switch.js';
import { openWire } from '../hardware/wire/open.js';
import { runSwitch } from '../hardware/wire/switch-loop.js';
import { TrafficPeer } from '../measure/load/traffic-peer.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), 'main.js');

/** A VMM process did not come up, or went away when it should not. */
export class LabError extends Error {
  override readonly name = 'LabError';
}

export interface VmmProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly qmp: QmpClient;
  /** What the process printed on stderr so far. */
  readonly log: () => string;
  /** Resolves with the exit code or signal. */
  readonly ended: Promise<number | string>;
}

export class Lab {
  readonly folder: string;
  readonly fabric: LearningSwitch;
  readonly #loop: { stop(): Promise<void> };
  readonly #vmms: VmmProcess[] = [];
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.fabric = new LearningSwitch({ clock: realClock, moveQuietMs: SOCKET_QUIET_MS });
    this.#loop = runSwitch(this.fabric);
  }

  static create(): Lab {
    const folder = mkdtempSync(join(tmpdir(), 'srvm-lab-'));
    process.env['SRVM_RUNTIME_DIR'] ??= folder;
    return new Lab(folder);
  }

  /** A switch port for a VMM process; the returned wire specification is for its `--vf wire=`. */
  port(name: string): string {
    const path = join(this.folder, `${name}.sock`);
    this.fabric.addPort(name, openWire(`unix:${path},server`));
    return `unix:${path}`;
  }

  /** A station on the segment, in this process, that loads can be started on. */
  peer(mac: string, ip: string): TrafficPeer {
    const [inside, outside] = createCable();
    this.fabric.addPort(`peer ${ip}`, inside);
    const peer = new TrafficPeer({ wire: outside, clock: realClock, mac, ip });
    const loop = peer.run();
    this.#closers.push(async () => {
      await loop.stop();
      await outside.close();
    });
    return peer;
  }

  /** Starts `srvm ARGS --name NAME` as a process of its own and waits until its control socket answers. */
  async vmm(name: string, args: readonly string[]): Promise<VmmProcess> {
    const child = spawn(process.execPath, [MAIN, ...args, '--name', name], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: process.env,
      cwd: join(dirname(MAIN), '../../..'),
    });
    let text = '';
    const keep = (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-64 * 1024);
    };
    child.stdout!.on('data', keep);
    child.stderr!.on('data', keep);
    // 'close', not 'exit': what it said last has been read by then
    const ended = new Promise<number | string>((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
    const qmp = await waitForSocket(name, child, async () => {
      await ended;
      return text;
    });
    const vmm: VmmProcess = { name, child, qmp, log: () => text, ended };
    this.#vmms.push(vmm);
    return vmm;
  }

  /** Ends every process, wire and loop, and removes the lab's folder. */
  async close(): Promise<void> {
    for (const vmm of this.#vmms) {
      if (vmm.child.exitCode === null && vmm.child.signalCode === null) {
        await Promise.race([vmm.qmp.execute('quit').catch(() => {}), sleep(1000)]);
        const gone = await Promise.race([vmm.ended, sleep(3000).then(() => null)]);
        if (gone === null) vmm.child.kill('SIGKILL');
        await vmm.ended;
      }
      vmm.qmp.close();
    }
    for (const close of this.#closers) await close();
    await this.#loop.stop();
    if (process.env['SRVM_RUNTIME_DIR'] === this.folder) delete process.env['SRVM_RUNTIME_DIR'];
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The first process that loads an image rewrites it; beside much else that takes most of a minute. */
const START_LIMIT_S = 120;

async function waitForSocket(
  name: string,
  child: ChildProcess,
  wholeLog: () => Promise<string>,
): Promise<QmpClient> {
  const path = controlSocketOf(name);
  const endNs = realClock.nowNs() + START_LIMIT_S * 1e9;
  while (realClock.nowNs() < endNs) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const lastLine = (await wholeLog()).trim().split('\n').at(-1) ?? '';
      throw new LabError(`VMM '${name}' ended before it was up: ${lastLine}`);
    }
    if (existsSync(path)) {
      try {
        return await QmpClient.connect(path);
      } catch {
        // the socket file is there, its server not yet
      }
    }
    await sleep(25);
  }
  child.kill('SIGKILL');
  throw new LabError(`VMM '${name}' did not come up within ${START_LIMIT_S} s`);
}
