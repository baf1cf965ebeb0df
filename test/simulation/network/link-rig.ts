/** A migration link between two virtual hosts, and a sink that keeps what it was given. */
import type { ByteSink } from '../../../src/migration/channel.js';
import type { ChannelError } from '../../../src/migration/errors.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import type { HostTime } from '../../../src/simulation/clockwork/host-time.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import { type LinkOptions, MigrationLink } from '../../../src/simulation/network/migration-link.js';

export interface LinkRig {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly source: HostTime;
  readonly destination: HostTime;
  readonly link: MigrationLink;
}

export function makeScheduler(seed: number): Scheduler {
  return new Scheduler({
    choices: new Choices(seed),
    log: new EventLog({ keep: 'none' }),
    limits: { maxEvents: 1e6, maxVirtualMs: 1e6 },
  });
}

export function makeLinkRig(seed: number, options: Partial<LinkOptions> = {}): LinkRig {
  const scheduler = makeScheduler(seed);
  const choices = new Choices(seed);
  const source = scheduler.host('source');
  const destination = scheduler.host('destination');
  const link = new MigrationLink(scheduler, choices.fork('link'), [source, destination], options);
  return { scheduler, choices, source, destination, link };
}

export class KeepingSink implements ByteSink {
  readonly pieces: Uint8Array[] = [];
  ending: ChannelError | null | undefined = undefined;
  readonly #space: Buffer;

  constructor(spaceBytes = 5000) {
    this.#space = Buffer.alloc(spaceBytes);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  space(): Buffer {
    return this.#space;
  }

  filled(bytes: number): void {
    this.pieces.push(Uint8Array.from(this.#space.subarray(0, bytes)));
  }

  ended(error: ChannelError | null): void {
    if (this.ending !== undefined) throw new Error('told twice that the stream ended');
    this.ending = error;
  }
}

/** Runs until nothing happens any more. */
export async function runDry(scheduler: Scheduler): Promise<void> {
  const end = await scheduler.run(() => false);
  if (end.kind !== 'idle') throw new Error(`the run ended with ${JSON.stringify(end)}`);
}
