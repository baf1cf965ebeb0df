/**
 * Entry of a NIC's worker: the engine, its wire and the loop that drives them (engine-loop.ts).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { NicEngine } from '../hardware/nic/engine.js';
import { ENGINE_THREADED } from '../hardware/nic/queue-state.js';
import { CONTROL, NicShared, REGION } from '../hardware/nic/shared.js';
import type { Wire } from '../hardware/wire/wire.js';
import { EngineLoop } from './engine-loop.js';
import { InterruptRemap } from './interrupt-remap.js';
import { makeWire } from './make-wire.js';
import type { NicCommand, NicReply, NicWorkerData } from './nic-messages.js';
import { nameThread, threadCpuNs } from './thread-cpu.js';
import { failedReply } from './worker-messages.js';

class NicCore {
  readonly #engine: NicEngine;
  readonly #wire: Wire;
  readonly #msi: InterruptRemap;
  readonly #post: (reply: NicReply) => void;
  readonly #loop: EngineLoop;
  readonly #bornNs = realClock.nowNs();

  constructor(shared: NicShared, wire: Wire, msi: InterruptRemap, post: (reply: NicReply) => void) {
    this.#wire = wire;
    this.#msi = msi;
    this.#post = post;
    this.#engine = new NicEngine({ shared, wire, msi, clock: realClock });
    // the engine is a thread of its own: a read of ENABLE right after a request may have to wait for its turn
    Atomics.store(shared.words, REGION.control + CONTROL.engineRunning, ENGINE_THREADED);
    const bell = {
      words: shared.words,
      rung: REGION.control + CONTROL.doorbell,
      asleep: REGION.control + CONTROL.engineAsleep,
    };
    this.#loop = new EngineLoop(this.#engine, bell, () => this.#end());
    wire.onWake = () => this.#loop.wakeUp();
  }

  start(): void {
    this.#loop.start();
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
        this.#loop.stop();
        return;
    }
    this.#loop.wakeUp();
  }

  #stats() {
    return {
      wire: { ...this.#wire.stats },
      cpuNs: threadCpuNs(),
      aliveNs: realClock.nowNs() - this.#bornNs,
      busySteps: this.#loop.busySteps,
      sleeps: this.#loop.sleeps,
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
  post(failedReply(error));
  port.close();
}
