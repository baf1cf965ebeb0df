/** Who serves the guests, step by step as in src/hypervisor: a core of a device, a driver domain; and the peer on the wire. */

import { bytesOf } from '../../../src/hardware/bytes.js';
import { seededRandom } from '../../../src/hardware/clock.js';
import { openSharedCable } from '../../../src/hardware/wire/shared-cable.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { EngineLoop, type SteppedEngine } from '../../../src/hypervisor/engine-loop.js';
import { DeviceSwitch } from '../../../src/virtio/device-cores/device-switch.js';
import { VifWords } from '../../../src/virtio/device-cores/vif-words.js';
import { BELL } from '../../../src/virtio/device-words.js';
import { NetPort } from '../../../src/virtio/net-port.js';
import { SoftwareSwitch } from '../../../src/virtio/software-switch.js';
import type { Uplink } from '../../../src/virtio/uplink.js';
import type { Report, Role } from './actor.js';
import { Inbox, LONGEST_BYTES, Outbox, writeFrame } from './frames.js';
import { mayLose, PEER, type Scene, WITHOUT_CREDIT_MS } from './scene.js';
import { messageSink } from './virtio-driver.js';
import type { Exploration } from './yielding-atomics.js';

const FRAME_BYTES = 1518;
const PASS_FRAMES = 64;

const portsOf = (scene: Scene): NetPort[] =>
  scene.stations.map(
    ({ device, messages }) => new NetPort(device, messageSink(new Int32Array(messages)), true),
  );

/** As src/hypervisor/sv-nic-core.ts has it. */
export class DeviceCoreActor implements Role, SteppedEngine {
  readonly #switch: DeviceSwitch;
  readonly #loop: EngineLoop;
  readonly #wire: Wire;
  readonly #others: readonly Wire[];
  readonly #exploration: Exploration;
  readonly #vifs: readonly VifWords[];

  constructor(scene: Scene, core: number, exploration: Exploration) {
    this.#exploration = exploration;
    this.#wire = openSharedCable(core === 0 ? scene.wire[0] : scene.ways[core - 1]![1]);
    this.#others = core === 0 ? scene.ways.map(([near]) => openSharedCable(near)) : [];
    this.#switch = new DeviceSwitch({ wire: this.#wire, frameBytes: FRAME_BYTES });
    this.#vifs = scene.stations.map(({ vif }) => new VifWords(vif));
    for (const [index, port] of portsOf(scene).entries())
      this.#switch.add({ port, words: this.#vifs[index]!, isOwn: scene.stations[index]!.core === core });
    const words = new Int32Array(scene.bells[core]!);
    this.#loop = new EngineLoop(this, { words, ...BELL }, async () => {});
    for (const each of [this.#wire, ...this.#others]) each.onWake = () => this.#loop.wakeUp();
  }

  run(): void {
    this.#loop.start();
  }

  step(): number {
    let work = 0;
    for (const other of this.#others) work += other.receive(this.#pass, PASS_FRAMES);
    return work + this.#switch.step(this.#exploration.turnstile.nowNs);
  }

  nextDueNs(): number {
    return this.#switch.dueNs;
  }

  readonly #pass = (bytes: Uint8Array, offset: number, length: number): boolean => {
    this.#wire.transmit(bytes, offset, length);
    return true;
  };

  report(): Report {
    const missed = this.#vifs.reduce((sum, vif) => sum + vif.counts().missed, 0);
    return { complaints: [], sent: {}, received: {}, rests: this.#loop.sleeps, missed };
  }
}

/** As src/hypervisor/driver-domain-core.ts has it, over a cable instead of a VF. */
export class DomainActor implements Role {
  readonly #switch: SoftwareSwitch;
  readonly #bell: Int32Array;
  #rests = 0;

  constructor(scene: Scene) {
    this.#bell = new Int32Array(scene.bells[0]!);
    this.#switch = new SoftwareSwitch(new CableUplink(openSharedCable(scene.wire[0])));
    for (const port of portsOf(scene)) this.#switch.add(port);
  }

  run(): void {
    for (let idle = 0; ; ) {
      if (this.#switch.step() > 0) idle = 0;
      else if (++idle >= 3) {
        this.#sleep();
        idle = 0;
      }
    }
  }

  #sleep(): void {
    const bell = this.#bell;
    const rung = Atomics.load(bell, BELL.rung);
    Atomics.store(bell, BELL.asleep, 1);
    this.#switch.listen();
    if (this.#switch.step() === 0) {
      this.#rests++;
      Atomics.wait(bell, BELL.rung, rung, 1000);
    }
    Atomics.store(bell, BELL.asleep, 0);
  }

  report(): Report {
    return { complaints: [], sent: {}, received: {}, rests: this.#rests };
  }
}

/** Frames that go out only: what comes by a card is the card's affair. */
class CableUplink implements Uplink {
  readonly bytes = bytesOf(new Uint8Array(2 * 2048));
  readonly frameBytes = FRAME_BYTES;
  readonly largeBytes = 0;
  readonly receivedAt = 2048;
  readonly receivedIsVerified = false;
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  sendAt(): number {
    return 0;
  }

  sendLargeAt(): number {
    return -1;
  }

  send(length: number): void {
    this.#wire.transmit(this.bytes.u8, 0, length);
  }

  sendLarge(): void {}

  receive(): number {
    let received = -1;
    this.#wire.receive((u8, offset, length) => {
      this.bytes.u8.set(u8.subarray(offset, offset + length), this.receivedAt);
      received = length;
      return true;
    }, 1);
    return received;
  }

  flush(): void {
    this.#wire.flush();
  }
}

/** Sends to each guest as far as that has buffers, and takes what comes. */
export class PeerActor implements Role {
  readonly #scene: Scene;
  readonly #wire: Wire;
  readonly #inbox: Inbox;
  readonly #mayLose: boolean;
  readonly #outbox = new Outbox(PEER);
  readonly #credits: Int32Array;
  readonly #bell: Int32Array;
  readonly #pick: (count: number) => number;
  readonly #left: number[];
  readonly #frame = new Uint8Array(LONGEST_BYTES);
  #rests = 0;

  constructor(scene: Scene, seed: number) {
    this.#scene = scene;
    this.#wire = openSharedCable(scene.wire[1]);
    this.#mayLose = mayLose(scene);
    this.#inbox = new Inbox('the peer', this.#mayLose);
    this.#credits = new Int32Array(scene.credits);
    this.#bell = new Int32Array(scene.bells[0]!);
    const random = seededRandom(seed);
    this.#pick = (count) => random.nextU32() % count;
    this.#left = scene.stations.map(() => scene.frames);
    this.#wire.onWake = () => this.#turn();
  }

  run(): void {
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#wire.receive((bytes, offset, length) => {
      this.#inbox.take(bytes.slice(offset, offset + length));
      return true;
    }, 1 + this.#pick(8));
    this.#offer();
    if (this.#left.some((left) => left > 0)) {
      setImmediate(this.#turn);
      // nobody tells of credit: time has to pass
      Atomics.wait(this.#bell, 1, Atomics.load(this.#bell, 1), WITHOUT_CREDIT_MS);
      return;
    }
    const taken = this.#wire.receive((bytes, offset, length) => {
      this.#inbox.take(bytes.slice(offset, offset + length));
      return true;
    }, 64);
    if (taken > 0) setImmediate(this.#turn);
    else this.#rests++;
  };

  #offer(): void {
    let sent = 0;
    for (const guest of this.#left.keys()) {
      if (this.#left[guest]! === 0 || this.#pick(3) === 0) continue;
      if (this.#credits[guest]! <= 0 && !this.#mayLose) continue;
      this.#credits[guest]!--;
      this.#left[guest]!--;
      const length = writeFrame(this.#frame, this.#outbox.next(guest + 1), 60 + this.#pick(LONGEST_BYTES));
      this.#wire.transmit(this.#frame, 0, length);
      sent++;
    }
    if (sent === 0) return;
    this.#wire.flush();
    // a card's interrupt: it rings its driver domain
    if (this.#scene.server === 'domain') {
      Atomics.add(this.#bell, BELL.rung, 1);
      if (Atomics.load(this.#bell, BELL.asleep) !== 0) Atomics.notify(this.#bell, BELL.rung);
    }
  }

  report(): Report {
    const left = this.#left.reduce((sum, each) => sum + each, 0);
    const complaints = [...this.#inbox.complaints];
    if (left > 0) complaints.push(`the peer has ${left} frames left to send`);
    return { complaints, sent: this.#outbox.streams, received: this.#inbox.streams, rests: this.#rests };
  }
}
