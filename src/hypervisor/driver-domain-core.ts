/**
 * Entry of a driver domain's worker: serves the paravirtual devices of one card's guests, and sleeps on one doorbell word
 * that guests, the card and the main thread ring. It never returns to its event loop: messages are taken by polling.
 *
 *   turn: messages -> switch -> again while there is work
 *         a few looks without -> arm the card's interrupt -> a last look -> sleep on the doorbell
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { NicShared } from '../hardware/nic/shared.js';
import { VfBar } from '../hardware/nic/vf-bar.js';
import { BELL } from '../virtio/device-words.js';
import { REQUESTER } from '../virtio/msix.js';
import { NetPort } from '../virtio/net-port.js';
import { SoftwareSwitch } from '../virtio/software-switch.js';
import { VfUplink } from '../virtio/vf-uplink.js';
import type {
  DriverDomainCommand,
  DriverDomainReply,
  DriverDomainStats,
  DriverDomainWorkerData,
} from './driver-domain-messages.js';
import { InterruptRemap } from './interrupt-remap.js';
import { nameThread, threadCpuNs } from './thread-cpu.js';
import { failedReply } from './worker-messages.js';

/** Turns without work that only look again: an answer is often microseconds away. */
const LOOKS = 20;
const LONGEST_SLEEP_MS = 1000;

class DriverDomainCore {
  readonly #data: DriverDomainWorkerData;
  readonly #bell: Int32Array;
  readonly #uplink: VfUplink;
  readonly #switch: SoftwareSwitch;
  readonly #ports = new Map<number, NetPort>();
  readonly #bornNs = realClock.nowNs();
  #stopped = false;
  #busyTurns = 0;
  #sleeps = 0;

  constructor(data: DriverDomainWorkerData) {
    this.#data = data;
    this.#bell = new Int32Array(data.bell);
    const bar = new VfBar(new NicShared(data.nic), data.vf, new InterruptRemap(data.routes), realClock);
    this.#uplink = new VfUplink(bar, data.memory, data.frameBytes);
    this.#switch = new SoftwareSwitch(this.#uplink);
  }

  run(): void {
    this.#uplink.start(() => pause(1));
    this.#post({ kind: 'ready' });
    for (let idle = 0; !this.#stopped; ) {
      if (this.#turn()) idle = 0;
      else if (++idle >= LOOKS) {
        this.#sleep();
        idle = 0;
      }
    }
  }

  #turn(): boolean {
    for (
      let message = receiveMessageOnPort(this.#data.port);
      message !== undefined;
      message = receiveMessageOnPort(this.#data.port)
    ) {
      this.#obey(message.message as DriverDomainCommand);
    }
    const isBusy = this.#switch.step() > 0;
    if (isBusy) this.#busyTurns++;
    return isBusy;
  }

  /** Until somebody rings. */
  #sleep(): void {
    const bell = this.#bell;
    const rung = Atomics.load(bell, BELL.rung);
    Atomics.store(bell, BELL.asleep, 1);
    this.#uplink.arm();
    this.#switch.listen();
    // what came before the bell was watched is found by this look
    if (!this.#turn() && !this.#stopped) {
      this.#sleeps++;
      Atomics.wait(bell, BELL.rung, rung, LONGEST_SLEEP_MS);
    }
    Atomics.store(bell, BELL.asleep, 0);
    this.#uplink.disarm();
  }

  #obey(command: DriverDomainCommand): void {
    switch (command.kind) {
      case 'attach': {
        const msi = new InterruptRemap([{ requester: REQUESTER, target: command.target }]);
        const port = new NetPort(command.handle, msi, command.serving);
        this.#ports.set(command.device, port);
        this.#switch.add(port);
        break;
      }
      case 'detach': {
        const port = this.#ports.get(command.device);
        if (port !== undefined) this.#switch.remove(port);
        this.#ports.delete(command.device);
        break;
      }
      case 'serve': {
        const port = this.#ports.get(command.device);
        if (port === undefined) break;
        port.serving = command.on;
        // it may have come with another address
        this.#switch.add(port);
        break;
      }
      case 'stat':
        this.#post({ kind: 'stat', id: command.id, stats: this.#stats() });
        return;
      case 'stop':
        this.#stopped = true;
        return;
      case 'sync':
    }
    this.#post({ kind: 'done', id: command.id });
  }

  #stats(): DriverDomainStats {
    return {
      cpuNs: threadCpuNs(),
      aliveNs: realClock.nowNs() - this.#bornNs,
      busyTurns: this.#busyTurns,
      sleeps: this.#sleeps,
      frames: this.#switch.moved,
      devices: Object.fromEntries([...this.#ports].map(([device, port]) => [device, port.words.stats()])),
    };
  }

  #post(reply: DriverDomainReply): void {
    this.#data.port.postMessage(reply);
  }
}

const resting = new Int32Array(new SharedArrayBuffer(4));
const pause = (ms: number): void => void Atomics.wait(resting, 0, 0, ms);

const data = workerData as DriverDomainWorkerData;
// the worker's name after the program's, as every thread here; the kernel keeps 15 characters: 'srvm driver dom'
nameThread('srvm driver domain');
try {
  new DriverDomainCore(data).run();
} catch (error) {
  data.port.postMessage(failedReply(error));
}
data.port.close();
