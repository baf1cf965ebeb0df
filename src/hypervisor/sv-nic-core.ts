/**
 * Entry of one core of a self-virtualizing device: the core's switch and the loop that drives it (engine-loop.ts). The first
 * core holds the device's wire and passes on what the others send there.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { openSharedCable } from '../hardware/wire/shared-cable.js';
import type { Wire } from '../hardware/wire/wire.js';
import { DeviceSwitch, type VifPort } from '../virtio/device-cores/device-switch.js';
import { VifWords } from '../virtio/device-cores/vif-words.js';
import { BELL } from '../virtio/device-words.js';
import { REQUESTER } from '../virtio/msix.js';
import { NetPort } from '../virtio/net-port.js';
import { EngineLoop, type SteppedEngine } from './engine-loop.js';
import { InterruptRemap } from './interrupt-remap.js';
import { makeWire } from './make-wire.js';
import type { SvNicCommand, SvNicCoreStats, SvNicReply, SvNicWorkerData } from './sv-nic-messages.js';
import { nameThread, threadCpuNs } from './thread-cpu.js';
import { failedReply } from './worker-messages.js';

const PASS_FRAMES = 64;

class SvNicCore implements SteppedEngine {
  readonly #data: SvNicWorkerData;
  readonly #wire: Wire;
  /** Other cores' ways to the wire; none but for the port's core. */
  readonly #others: readonly Wire[];
  readonly #switch: DeviceSwitch;
  readonly #vifs = new Map<number, VifPort>();
  readonly #loop: EngineLoop;
  readonly #bornNs = realClock.nowNs();

  constructor(data: SvNicWorkerData, wire: Wire, others: readonly Wire[]) {
    this.#data = data;
    this.#wire = wire;
    this.#others = others;
    this.#switch = new DeviceSwitch({ wire, frameBytes: data.frameBytes });
    this.#loop = new EngineLoop(this, { words: new Int32Array(data.bell), ...BELL }, () => this.#end());
    for (const each of [wire, ...others]) each.onWake = () => this.#loop.wakeUp();
  }

  start(): void {
    this.#loop.start();
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
        this.#loop.stop();
        return;
      case 'sync':
    }
    post({ kind: 'done', id: command.id });
    this.#loop.wakeUp();
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

  step(): number {
    let work = 0;
    for (const other of this.#others) work += other.receive(this.#pass, PASS_FRAMES);
    return work + this.#switch.step(realClock.nowNs());
  }

  nextDueNs(): number {
    return this.#switch.dueNs;
  }

  readonly #pass = (bytes: Uint8Array, offset: number, length: number): boolean => {
    this.#wire.transmit(bytes, offset, length);
    return true;
  };

  #stats(): SvNicCoreStats {
    return {
      cpuNs: threadCpuNs(),
      aliveNs: realClock.nowNs() - this.#bornNs,
      frames: this.#switch.moved,
      sleeps: this.#loop.sleeps,
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
  post(failedReply(error));
  parentPort!.close();
}
