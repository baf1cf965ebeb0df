/**
 * One end of a migration link: the Channel that the migration engine holds, with a socket's manners.
 *
 *   open --close(): what was sent still leaves--> closed        its peer reads the end of the stream, and closes too
 *     '---- fail(): reset, timed out ---------------> closed    sends reject, the sink learns why
 *     '---- crash() ---> gone                                   nothing of it happens any more
 *
 * What arrives at an end that is closed is answered with a reset.
 */
import type { ByteSink, Channel } from '../../migration/channel.js';
import { ChannelError } from '../../migration/errors.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { BytePipe, type PipeOptions } from './byte-pipe.js';

/** As the socket's: how long close() lets queued bytes go out. */
const CLOSE_LIMIT_NS = 1e9;
/** Now and then what arrived begins with so many small pieces. */
const PIECES_CHANCE = 1 / 16;
const MOST_PIECES = 16;
const LARGEST_PIECE_BYTES = 64;

export interface LinkEndOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: HostTime;
  /** Who is at the other end, for messages. */
  readonly peer: string;
  /** In the event log. */
  readonly what: string;
  readonly pipe: PipeOptions;
}

type State = 'open' | 'closing' | 'closed' | 'gone';

export class LinkEnd implements Channel {
  readonly host: HostTime;
  readonly out: BytePipe;
  readonly #o: LinkEndOptions;
  #peer: LinkEnd | null = null;
  #sink: ByteSink | null = null;
  readonly #early: Uint8Array[] = [];
  /** Told to the sink, or to be told once there is one. */
  #ended: { readonly error: ChannelError | null } | null = null;
  #state: State = 'open';
  #failure: ChannelError | null = null;
  readonly #closeWaiters: (() => void)[] = [];
  #stopLimit: (() => void) | null = null;

  constructor(options: LinkEndOptions) {
    this.#o = options;
    this.host = options.host;
    this.out = new BytePipe(options.scheduler, options.choices, options.what, options.pipe, {
      arrived: (bytes) => this.#peer!.#arrived(bytes),
      finished: () => this.#peer!.#finished(),
      reset: () => this.#peer!.fail('read ECONNRESET'),
    });
  }

  static connect(one: LinkEnd, other: LinkEnd): void {
    one.#peer = other;
    other.#peer = one;
  }

  get isOpen(): boolean {
    return this.#state === 'open' || this.#state === 'closing';
  }

  send(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#state !== 'open') return Promise.reject(this.#error('write after end'));
    return this.out.write(bytes);
  }

  receive(sink: ByteSink): void {
    this.#sink = sink;
    for (const bytes of this.#early.splice(0)) this.#deliver(bytes);
    if (this.#ended !== null) sink.ended(this.#ended.error);
  }

  close(): Promise<void> {
    if (!this.isOpen) return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      this.#closeWaiters.push(resolve);
    });
    this.#shut();
    return closed;
  }

  /** The link is gone. */
  fail(reason: string): void {
    if (!this.isOpen) return;
    const error = this.#error(reason);
    this.#failure = error;
    this.out.fail(error);
    this.#closed(this.#state === 'closing' ? null : error);
  }

  /** Its host is gone: nobody there is told anything any more. @param reset whether the peer is told */
  crash(reset: boolean): void {
    this.#state = 'gone';
    this.out.halt(reset);
    this.#stopLimit?.();
  }

  #shut(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#stopLimit = this.#o.scheduler.at(
      CLOSE_LIMIT_NS,
      'close limit',
      () => this.fail('closed'),
      this.host,
    );
    this.out.finish(() => this.#closed(null));
  }

  #closed(error: ChannelError | null): void {
    if (!this.isOpen) return;
    this.#state = 'closed';
    this.#stopLimit?.();
    this.#failure ??= this.#error('is closed');
    this.#early.length = 0;
    this.#end(error);
    for (const resolve of this.#closeWaiters.splice(0)) resolve();
  }

  #end(error: ChannelError | null): void {
    if (this.#ended !== null) return;
    this.#ended = { error };
    this.#sink?.ended(error);
  }

  #arrived(bytes: Uint8Array): void {
    if (this.#state === 'gone') return;
    if (this.#state === 'closed') {
      this.out.halt(true);
      return;
    }
    if (this.#sink === null) this.#early.push(bytes);
    else this.#deliver(bytes);
  }

  /** The peer closed. As a socket that is not half open: this end closes too. */
  #finished(): void {
    if (this.#state === 'gone') return;
    this.#end(null);
    this.#shut();
  }

  #deliver(bytes: Uint8Array): void {
    const { choices } = this.#o;
    let small = choices.chance(PIECES_CHANCE) ? MOST_PIECES : 0;
    for (let at = 0; at < bytes.length && this.#state !== 'closed'; small--) {
      const space = this.#sink!.space();
      const most = small > 0 ? choices.between(1, LARGEST_PIECE_BYTES) : bytes.length;
      const length = Math.min(space.length, bytes.length - at, most);
      space.set(bytes.subarray(at, at + length));
      at += length;
      void this.#sink!.filled(length);
    }
    this.#peer!.out.taken(bytes.length);
  }

  #error(reason: string): ChannelError {
    const joint = reason.startsWith('is ') ? ' ' : ': ';
    return new ChannelError(`migration link to ${this.#o.peer}${joint}${reason}`);
  }
}
