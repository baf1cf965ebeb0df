/** A guest as a script: it sends, takes what came, waits for interrupts as a driver does, and does what its scene allows besides. */
import { seededRandom } from '../../../src/hardware/clock.js';
import { BELL, WORD } from '../../../src/virtio/device-words.js';
import type { Report, Role } from './actor.js';
import { Inbox, LONGEST_BYTES, Outbox, TO_ALL, writeFrame } from './frames.js';
import { type Deed, mayLose, PEER, QUEUE_SIZE, type Scene, WITHOUT_CREDIT_MS } from './scene.js';
import { VirtioDriver } from './virtio-driver.js';
import type { Exploration } from './yielding-atomics.js';

const BURST = 6;
const SCRIBBLE = 0xa5;
/** Both directions: where its reader says that it sleeps. */
const CABLE_WORDS = [32, 80] as const;
const LONGEST_WATCH_MS = 4;
const MOST_TOUCHES = 8;

export interface GuestOptions {
  readonly scene: Scene;
  readonly guest: number;
  readonly seed: number;
  /** It has much else to do. */
  readonly isLeisurely: boolean;
  readonly exploration: Exploration;
}

interface Watched {
  readonly words: Int32Array;
  readonly index: number;
}

/** Words that decide who sleeps and who is woken: when somebody touches one is when a race could be lost. */
function watchedBy(scene: Scene, guest: number): Watched[] {
  const { device } = scene.stations[guest]!;
  const bell = new Int32Array(device.bell);
  const words = new Int32Array(device.words);
  const cables = [...scene.ways, scene.wire].map(([{ buffer }]) => new Int32Array(buffer));
  return [
    { words: bell, index: BELL.rung },
    { words: bell, index: BELL.asleep },
    { words, index: WORD.lock },
    ...cables.flatMap((cable) => CABLE_WORDS.map((index) => ({ words: cable, index }))),
  ];
}

export class GuestActor implements Role {
  readonly #scene: Scene;
  readonly #guest: number;
  readonly #driver: VirtioDriver;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #credits: Int32Array;
  readonly #up: Int32Array;
  readonly #pick: (count: number) => number;
  readonly #complaints: string[] = [];
  #left: number;
  readonly #isLeisurely: boolean;
  readonly #exploration: Exploration;
  readonly #watched: readonly Watched[];
  readonly #words: Int32Array;
  #polls = false;
  #rests = 0;

  constructor({ scene, guest, seed, isLeisurely, exploration }: GuestOptions) {
    this.#exploration = exploration;
    this.#watched = watchedBy(scene, guest);
    this.#words = new Int32Array(scene.stations[guest]!.device.words);
    this.#scene = scene;
    this.#guest = guest;
    const random = seededRandom(seed);
    this.#pick = (count) => random.nextU32() % count;
    this.#driver = new VirtioDriver(scene.stations[guest]!, this.#pick);
    this.#inbox = new Inbox(this.#name, mayLose(scene));
    this.#outbox = new Outbox(guest + 1);
    this.#driver.onFrame = (frame) => this.#inbox.take(frame);
    this.#credits = new Int32Array(scene.credits);
    this.#up = new Int32Array(scene.up);
    this.#left = scene.frames;
    this.#isLeisurely = isLeisurely;
  }

  get #name(): string {
    return `guest ${this.#guest + 1}`;
  }

  run(): void {
    this.#begin();
    const deeds: readonly (Deed | 'send' | 'take')[] = ['send', 'send', 'send', 'take', ...this.#scene.deeds];
    for (;;) {
      const deed = deeds[this.#pick(deeds.length)]!;
      if (deed === 'send') this.#send();
      else if (deed === 'take') this.#take();
      else this.#do(deed);
      if (this.#isLeisurely && this.#pick(2) === 0) this.#pause();
      if (this.#pick(3) === 0 || this.#left === 0) this.#rest();
    }
  }

  /** All guests are up before any of them sends. */
  #begin(): void {
    this.#driver.up();
    this.#credits[this.#guest] = QUEUE_SIZE;
    Atomics.add(this.#up, 0, 1);
    Atomics.notify(this.#up, 0);
    for (;;) {
      const up = Atomics.load(this.#up, 0);
      if (up === this.#scene.guests) return;
      Atomics.wait(this.#up, 0, up);
    }
  }

  #send(): void {
    const burst = 1 + this.#pick(this.#isLeisurely ? 2 : BURST);
    let sent = 0;
    for (; sent < burst && this.#left > 0 && this.#driver.canSend; sent++) {
      const to = this.#receiver();
      if (to < 0) break;
      this.#left--;
      this.#driver.send((into) => writeFrame(into, this.#outbox.next(to), 60 + this.#pick(LONGEST_BYTES)));
      if (this.#pick(4) === 0) this.#driver.kick();
    }
    if (sent > 0) this.#driver.kick();
  }

  /** A station that has room for a frame; -1: none, just now. */
  #receiver(): number {
    const { guests } = this.#scene;
    const others = Array.from({ length: guests }, (_, guest) => guest).filter(
      (guest) => guest !== this.#guest,
    );
    const kind = this.#pick(8);
    if (kind === 0) return PEER;
    const to = kind === 1 ? others : [others[this.#pick(others.length)]!];
    if (!mayLose(this.#scene) && !to.every((guest) => this.#credits[guest]! > 0)) return -1;
    for (const guest of to) this.#credits[guest]!--;
    return kind === 1 ? TO_ALL : to[0]! + 1;
  }

  #take(): void {
    this.#driver.poll();
    while (this.#pick(8) !== 0 && this.#driver.post()) this.#credits[this.#guest]!++;
  }

  #do(deed: Deed): void {
    const driver = this.#driver;
    if (deed === 'register') driver.touchRegister();
    else if (deed === 'mask') {
      const vector = 1 + this.#pick(2);
      driver.mask(vector, true);
      this.#send();
      if (this.#pick(2) === 0) this.#exploration.watch(this.#words, WORD.msixPending, LONGEST_WATCH_MS);
      else this.#take();
      driver.mask(vector, false);
    } else if (deed === 'bus') this.#withoutBus();
    else if (this.#pick(4) === 0) this.#reset();
  }

  /** A function that may not master the bus touches nothing. */
  #withoutBus(): void {
    this.#driver.setBus(false);
    const before = this.#driver.snapshot();
    for (let i = 0; i < 3; i++) this.#driver.touchRegister();
    if (Buffer.compare(before, this.#driver.snapshot()) !== 0)
      this.#complaints.push(`${this.#name}: its memory was written while the device was off the bus`);
    this.#driver.setBus(true);
  }

  /** What was under way is lost; nothing is written afterwards. */
  #reset(): void {
    const driver = this.#driver;
    driver.reset();
    driver.scribble(SCRIBBLE);
    for (let i = 0; i < 3; i++) driver.touchRegister();
    if (!driver.isScribbled(SCRIBBLE))
      this.#complaints.push(`${this.#name}: its memory was written after the device's reset`);
    driver.up();
    this.#credits[this.#guest] = QUEUE_SIZE;
  }

  /** It has other things to do: long enough, at times, for those who serve it to fall asleep. */
  #pause(): void {
    if (this.#pick(2) === 0) {
      const { words, index } = this.#watched[this.#pick(this.#watched.length)]!;
      // a core looks a few times before it sleeps: its last look may be any of them
      for (let times = 1 + this.#pick(MOST_TOUCHES); times > 0; times--)
        this.#exploration.watch(words, index, LONGEST_WATCH_MS);
      return;
    }
    Atomics.wait(this.#up, 0, this.#scene.guests, 0.002 * 2 ** (this.#pick(1200) / 100));
  }

  /** As a driver sleeps: interrupts on, a last look, and then until one comes. */
  #rest(): void {
    const driver = this.#driver;
    if (this.#polls) driver.wantInterrupts(true);
    this.#polls = false;
    const seen = driver.messages;
    this.#take();
    while (driver.post()) this.#credits[this.#guest]!++;
    if (driver.hasBack) return;
    // what else there is to do needs room of its own, or of the receiver's; who has time waits for what is under way
    const isPatient = this.#isLeisurely && driver.sending > 0;
    if (this.#left > 0 && driver.canSend && !isPatient) driver.awaitMessage(seen, WITHOUT_CREDIT_MS);
    else {
      this.#rests++;
      driver.awaitMessage(seen, Infinity);
    }
    if (this.#pick(2) === 0) {
      driver.wantInterrupts(false);
      this.#polls = true;
    }
  }

  report(): Report {
    const { device } = this.#scene.stations[this.#guest]!;
    const log = new Uint8Array(device.log);
    const unlogged = [...new Uint8Array(device.domain.truth)].flatMap((written, page) =>
      written !== 0 && log[page] === 0 ? [page] : [],
    );
    const complaints = [...this.#complaints, ...this.#inbox.complaints];
    if (unlogged.length > 0) complaints.push(`${this.#name}: pages written and not logged: ${unlogged}`);
    if (this.#left > 0) complaints.push(`${this.#name} has ${this.#left} frames left to send`);
    if (this.#driver.sending > 0)
      complaints.push(`${this.#name}: ${this.#driver.sending} frames to send did not come back`);
    return { complaints, sent: this.#outbox.streams, received: this.#inbox.streams, rests: this.#rests };
  }
}
