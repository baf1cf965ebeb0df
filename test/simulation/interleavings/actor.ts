/** Entry of a thread of an exploration: plays the role that it is given, run by run. */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../../../src/hardware/clock.js';
import { type Plantable, plant } from '../planted/plant.js';
import type { Scene } from './scene.js';
import { RunOver, Turnstile } from './turnstile.js';
import { Exploration, explore, installYieldingAtomics } from './yielding-atomics.js';

/** A role; `run` returns when its thread's event loop is to go on with it, or never. */
export interface Role {
  run(): void;
  report(): Report;
}

export interface Report {
  readonly complaints: readonly string[];
  /** Frames by stream, "from>to". */
  readonly sent: Readonly<Record<string, number>>;
  readonly received: Readonly<Record<string, number>>;
  readonly rests: number;
  readonly missed?: number;
}

export type Part =
  | { readonly kind: 'server'; readonly core: number }
  | { readonly kind: 'guest'; readonly guest: number }
  | { readonly kind: 'peer' };

export interface ActorOrder {
  readonly part: Part;
  readonly me: number;
  readonly seed: number;
  readonly scene: Scene;
  /** Guests let those who serve them fall asleep between two deeds. */
  readonly isLeisurely: boolean;
  readonly turnstile: SharedArrayBuffer;
}

const realImmediate = setImmediate;
const eventLoop = (): Promise<void> => new Promise((resolve) => realImmediate(resolve));
const { fault } = workerData as { fault: Plantable | null };
if (fault !== null) plant(fault);
// what it imports may have a fault planted
const { explored } = await import('./scene.js');
const servers = await import('./server-actors.js');
const guests = await import('./guest-actor.js');
installYieldingAtomics();

const ignoreOver = (error: unknown): void => {
  if (!(error instanceof RunOver)) throw error;
};
process.on('unhandledRejection', ignoreOver);

function roleOf({ part, scene, seed, isLeisurely }: ActorOrder, exploration: Exploration): Role {
  if (part.kind === 'guest')
    return new guests.GuestActor({ scene, guest: part.guest, seed, isLeisurely, exploration });
  if (part.kind === 'peer') return new servers.PeerActor(scene, seed);
  if (scene.server === 'domain') return new servers.DomainActor(scene);
  return new servers.DeviceCoreActor(scene, part.core, exploration);
}

/** Of a point that is no word's. */
const NOWHERE = -1;

/** The thread's event loop, as far as the role uses it. @throws RunOver */
async function drive(exploration: Exploration): Promise<never> {
  const { turnstile, immediates } = exploration;
  for (;;) {
    await eventLoop();
    turnstile.point(NOWHERE);
    if (exploration.settleWaits()) continue;
    const next = immediates.shift();
    if (next !== undefined) next();
    else turnstile.block();
  }
}

async function play(order: ActorOrder): Promise<Report> {
  const turnstile = new Turnstile(order.turnstile, order.me);
  const exploration = new Exploration(turnstile, explored(order.scene));
  const clock = realClock as { nowNs: () => number };
  clock.nowNs = () => turnstile.nowNs;
  let role: Role | null = null;
  const thrown: string[] = [];
  try {
    parentPort!.postMessage('ready');
    turnstile.enter();
    explore(exploration);
    role = roleOf(order, exploration);
    role.run();
    await drive(exploration);
  } catch (error) {
    if (!(error instanceof RunOver)) {
      thrown.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
      turnstile.leave();
    }
  }
  explore(null);
  await eventLoop();
  const report = role?.report() ?? { complaints: [], sent: {}, received: {}, rests: 0 };
  return { ...report, complaints: [...thrown, ...report.complaints] };
}

parentPort!.on('message', (order: ActorOrder) => {
  void play(order).then((report) => parentPort!.postMessage(report));
});
