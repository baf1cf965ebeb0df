/**
 * Entry of one core of a self-virtualizing device: drives the core's switch, and sleeps when there is nothing to do. The
 * first core holds the device's wire and passes on what the others send there.
 *
 *   turn:    step, step, ... while there is work -> again after the sockets had their turn
 *   nothing: look again a few times -> a few short waits on the bell -> sleep: bell, wire, message, a rate's deadline
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { openWire } from '../hardware/wire/open.js';
import { openSharedCable } from '../hardware/wire/shared-cable.js';
import type { Wire } from '../hardware/wire/wire.js';
import { DeviceSwitch, type VifPort } from '../virtio/device-cores/device-switch.js';
import { VifWords } from '../virtio/device-cores/vif-words.js';
import { BELL } from '../virtio/device-words.js';
import { REQUESTER } from '../virtio/msix.js';
import { NetPort } from '../virtio/net-port.js';
import { InterruptRemap } from './interrupt-remap.js';
import type { WireSpec } from './nic-messages.js';
import type { SvNicCommand, SvNicCoreStats, SvNicReply, SvNicWorkerData } from './sv-nic-messages.js';
import { nameThread, threadCpuNs } from './thread-cpu.js';

const STEPS_PER_TURN = 8;
/** Turns without work that only look again, and those after them that wait in place. */
const LOOKS = 6;
const WAITS_IN_PLACE = 5;
const WAIT_NS = 50_000;
const SHORTEST_WAIT_NS = 20_000;
/** A nearer deadline is waited for in place: timers of the event loop count milliseconds. */
const TIMER_NS = 2_000_000;
const MAX_SLEEP_MS = 1000;
const PASS_FRAMES = 64;

class SvNicCore {
  readonly #data: SvNicWorkerData;
  readonly #bell: Int32Array;
  readonly #wire: Wire;
  /** Other cores' ways to the wire; none but for the port's core. */
  readonly #others: readonly Wire[];
  readonly #switch: DeviceSwitch;
  readonly #vifs = new Map<number, VifPort>();
  readonly #bornNs = realClock.nowNs();
  #stopped = false;
  #idleTurns = 0;
  #frames = 0;
  #sleeps = 0;
  #wake: (() => void) | null = null;

  constructor(data: SvNicWorkerData, wire: Wire, others: readonly Wire[]) {
    this.#data = data;
    this.#bell = new Int32Array(data.bell);
    this.#wire = wire;
    this.#others = others;
    this.#switch = new DeviceSwitch({ wire, frameBytes: data.frameBytes });
    for (const each of [wire, ...others]) each.onWake = () => this.#wakeUp();
  }

  start(): void {
    setImmediate(this.#turn);
  }

  obey(command: SvNicCommand): void {
    switch (command.kind) {
      case 'attach':
        this.#attach(command);
        break;
      case 'detach': {
        const vif = this.#vifs.get(command.device);
        if (vif !== undefined) this.#switch.remove(vif);
        this.#vifs.delete(command.device);
        break;
      }
      case 'serve': {
        const vif = this.#vifs.get(command.device);
        if (vif !== undefined) {
          vif.port.serving = command.on;
          this.#switch.refresh(vif);
        }
        break;
      }
      case 'send':
        this.#wire.transmit(command.frame, 0, command.frame.length);
        this.#wire.flush();
        break;
      case 'stat':
        post({ kind: 'stat', id: command.id, stats: this.#stats() });
        return;
      case 'stop':
        this.#stopped = true;
        this.#wakeUp();
        return;
      case 'sync':
    }
    post({ kind: 'done', id: command.id });
    this.#wakeUp();
  }

  #attach({ device, handle, vif, target, serving, core }: SvNicCommand & { kind: 'attach' }): void {
    const msi = new InterruptRemap([{ requester: REQUESTER, target }]);
    const port: VifPort = {
      port: new NetPort(handle, msi, serving),
      words: new VifWords(vif),
      isOwn: core === this.#data.core,
    };
    this.#vifs.set(device, port);
    this.#switch.add(port);
  }

  readonly #turn = (): void => {
    if (this.#stopped) {
      void this.#end();
      return;
    }
    let work = 0;
    for (let i = 0; i < STEPS_PER_TURN; i++) {
      const frames = this.#step();
      if (frames === 0) break;
      work += frames;
    }
    this.#idleTurns = work > 0 ? 0 : this.#idleTurns + 1;
    if (this.#idleTurns < LOOKS) setImmediate(this.#turn);
    else this.#rest();
  };

  #step(): number {
    let work = 0;
    for (const other of this.#others) work += other.receive(this.#pass, PASS_FRAMES);
    work += this.#switch.step(realClock.nowNs());
    this.#frames += work;
    return work;
  }

  readonly #pass = (bytes: Uint8Array, offset: number, length: number): boolean => {
    this.#wire.transmit(bytes, offset, length);
    return true;
  };

  #rest(): void {
    const dueNs = this.#switch.dueNs - realClock.nowNs();
    if (dueNs > TIMER_NS && this.#idleTurns >= LOOKS + WAITS_IN_PLACE) {
      void this.#sleep(Math.min(MAX_SLEEP_MS, dueNs / 1e6));
      return;
    }
    if (dueNs > SHORTEST_WAIT_NS) this.#waitInPlace(Math.min(dueNs, WAIT_NS));
    setImmediate(this.#turn);
  }

  /** Sockets are not looked at meanwhile. */
  #waitInPlace(waitNs: number): void {
    const bell = this.#bell;
    const rung = Atomics.load(bell, BELL.rung);
    Atomics.store(bell, BELL.asleep, 1);
    // rung between the last step and this line: it may not have notified
    if (this.#step() !== 0 || Atomics.wait(bell, BELL.rung, rung, waitNs / 1e6) !== 'timed-out') {
      this.#idleTurns = 0;
    }
    Atomics.store(bell, BELL.asleep, 0);
  }

  async #sleep(limitMs: number): Promise<void> {
    const bell = this.#bell;
    const rung = Atomics.load(bell, BELL.rung);
    Atomics.store(bell, BELL.asleep, 1);
    if (this.#step() === 0 && !this.#stopped) {
      const wait = Atomics.waitAsync(bell, BELL.rung, rung, limitMs);
      if (wait.async) {
        this.#sleeps++;
        await Promise.race([
          wait.value,
          new Promise<void>((resolve) => {
            this.#wake = resolve;
          }),
        ]);
        this.#wake = null;
      }
    }
    Atomics.store(bell, BELL.asleep, 0);
    this.#idleTurns = 0;
    this.#turn();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    if (wake === null) return;
    wake();
    // the waiter that lost the race must not be left behind
    Atomics.notify(this.#bell, BELL.rung);
  }

  #stats(): SvNicCoreStats {
    return {
      cpuNs: threadCpuNs(),
      aliveNs: realClock.nowNs() - this.#bornNs,
      frames: this.#frames,
      sleeps: this.#sleeps,
      wire: { ...this.#wire.stats },
    };
  }

  async #end(): Promise<void> {
    for (const each of [this.#wire, ...this.#others]) {
      each.onWake = null;
      await each.close();
    }
    parentPort!.close();
  }
}

async function makeWire(spec: WireSpec): Promise<Wire> {
  if (typeof spec === 'string') {
    const wire = openWire(spec);
    await wire.ready;
    return wire;
  }
  const module = (await import(spec.module)) as Record<string, (data: unknown) => Wire | Promise<Wire>>;
  return module[spec.make]!(spec.data);
}

const post = (reply: SvNicReply): void => parentPort!.postMessage(reply);
const data = workerData as SvNicWorkerData;
nameThread(`srvm sv-nic ${data.core}`);
try {
  const { port } = data;
  const isPort = 'wire' in port;
  const wire = isPort ? await makeWire(port.wire) : openSharedCable(port);
  const core = new SvNicCore(data, wire, isPort ? port.cores.map(openSharedCable) : []);
  parentPort!.on('message', (command: SvNicCommand) => core.obey(command));
  core.start();
  post({ kind: 'ready' });
} catch (error) {
  post({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  parentPort!.close();
}
