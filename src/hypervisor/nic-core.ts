/**
 * Entry of a NIC's worker: drives the engine, and sleeps when there is nothing to do. The wire's sockets live here too, so
 * between steps the event loop gets its turn.
 *
 *   turn:    step, step, ... while there is work -> again after the sockets had their turn
 *   nothing: look again a few times              -> an answer is often microseconds away
 *            a few short waits in place          -> on the doorbell alone: a guest's register write wakes at once
 *            sleep in the event loop             -> doorbell, wire, message, deadline; costs nothing, wakes slower
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { NicEngine } from '../hardware/nic/engine.js';
import { ENGINE_THREADED } from '../hardware/nic/queue-state.js';
import { CONTROL, NicShared, REGION } from '../hardware/nic/shared.js';
import { openWire } from '../hardware/wire/open.js';
import type { Wire } from '../hardware/wire/wire.js';
import { InterruptRemap } from './interrupt-remap.js';
import type { NicCommand, NicReply, NicWorkerData, WireSpec } from './nic-messages.js';
import { nameThread, threadCpuNs } from './thread-cpu.js';

/** Steps in a row before the sockets are looked at. */
const STEPS_PER_TURN = 8;
/** Turns without work that only look again. */
const LOOKS = 6;
/** Turns after them that wait in place, the sockets being looked at in between. */
const WAITS_IN_PLACE = 5;
const WAIT_NS = 50_000;
/** A deadline nearer than this is waited for in place: timers of the event loop count milliseconds. */
const TIMER_NS = 2_000_000;
/** A nearer deadline is not worth a trip into the kernel. */
const SHORTEST_WAIT_NS = 20_000;
const MAX_SLEEP_MS = 1000;

const DOORBELL = REGION.control + CONTROL.doorbell;
const ASLEEP = REGION.control + CONTROL.engineAsleep;

class NicCore {
  readonly #words: Int32Array;
  readonly #engine: NicEngine;
  readonly #wire: Wire;
  readonly #msi: InterruptRemap;
  readonly #post: (reply: NicReply) => void;
  readonly #bornNs = realClock.nowNs();
  #stopped = false;
  #idleTurns = 0;
  #busySteps = 0;
  #sleeps = 0;
  /** Ends the sleep that is under way. */
  #wake: (() => void) | null = null;

  constructor(shared: NicShared, wire: Wire, msi: InterruptRemap, post: (reply: NicReply) => void) {
    this.#words = shared.words;
    this.#wire = wire;
    this.#msi = msi;
    this.#post = post;
    this.#engine = new NicEngine({ shared, wire, msi, clock: realClock });
    // the engine is a thread of its own: a read of ENABLE right after a request may have to wait for its turn
    Atomics.store(this.#words, REGION.control + CONTROL.engineRunning, ENGINE_THREADED);
    wire.onWake = () => this.#wakeUp();
  }

  start(): void {
    setImmediate(this.#turn);
  }

  obey(command: NicCommand): void {
    switch (command.kind) {
      case 'attach':
        if (command.route !== null) this.#msi.map(command.route);
        this.#engine.attach(command.pool, command.domain);
        this.#post({ kind: 'done', id: command.id });
        break;
      case 'detach':
        this.#engine.detach(command.pool);
        if (command.requester !== null) this.#msi.unmap(command.requester);
        this.#post({ kind: 'done', id: command.id });
        break;
      case 'stat':
        this.#post({ kind: 'stat', id: command.id, stats: this.#stats() });
        return;
      case 'stop':
        this.#stopped = true;
    }
    this.#wakeUp();
  }

  readonly #turn = (): void => {
    if (this.#stopped) {
      void this.#end();
      return;
    }
    let work = 0;
    for (let i = 0; i < STEPS_PER_TURN; i++) {
      if (this.#engine.step() === 0) break;
      work++;
    }
    this.#busySteps += work;
    this.#idleTurns = work > 0 ? 0 : this.#idleTurns + 1;
    if (this.#idleTurns < LOOKS) setImmediate(this.#turn);
    else this.#rest();
  };

  /** Nothing to do just now: waits a moment, or goes to sleep. */
  #rest(): void {
    const dueNs = this.#engine.nextDueNs() - realClock.nowNs();
    if (dueNs > TIMER_NS && this.#idleTurns >= LOOKS + WAITS_IN_PLACE) {
      void this.#sleep(Math.min(MAX_SLEEP_MS, dueNs / 1e6));
      return;
    }
    if (dueNs > SHORTEST_WAIT_NS) this.#waitInPlace(Math.min(dueNs, WAIT_NS));
    setImmediate(this.#turn);
  }

  /** Sockets are not looked at meanwhile. */
  #waitInPlace(waitNs: number): void {
    const words = this.#words;
    const rung = Atomics.load(words, DOORBELL);
    Atomics.store(words, ASLEEP, 1);
    // a ring between the last step and this line: it may not have notified
    if (this.#engine.step() !== 0 || Atomics.wait(words, DOORBELL, rung, waitNs / 1e6) !== 'timed-out') {
      this.#idleTurns = 0;
    }
    Atomics.store(words, ASLEEP, 0);
  }

  async #sleep(limitMs: number): Promise<void> {
    const words = this.#words;
    const rung = Atomics.load(words, DOORBELL);
    Atomics.store(words, ASLEEP, 1);
    // whoever rings from here on notifies; what was rung before is found by this look
    if (this.#engine.step() === 0 && !this.#stopped) {
      const wait = Atomics.waitAsync(words, DOORBELL, rung, limitMs);
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
    Atomics.store(words, ASLEEP, 0);
    this.#idleTurns = 0;
    this.#turn();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    if (wake === null) return;
    wake();
    // the waiter that lost the race must not be left behind
    Atomics.notify(this.#words, DOORBELL);
  }

  #stats() {
    return {
      wire: { ...this.#wire.stats },
      cpuNs: threadCpuNs(),
      aliveNs: realClock.nowNs() - this.#bornNs,
      busySteps: this.#busySteps,
      sleeps: this.#sleeps,
      blockedMessages: this.#msi.blocked,
    };
  }

  async #end(): Promise<void> {
    this.#engine.close();
    this.#wire.onWake = null;
    await this.#wire.close();
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

const port = parentPort!;
const { nic, wire: wireSpec, routes } = workerData as NicWorkerData;
const post = (reply: NicReply): void => port.postMessage(reply);
nameThread('srvm nic');
try {
  const wire = await makeWire(wireSpec);
  const core = new NicCore(new NicShared(nic), wire, new InterruptRemap(routes), post);
  port.on('message', (command: NicCommand) => core.obey(command));
  core.start();
  post({ kind: 'ready' });
} catch (error) {
  post({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  port.close();
}
