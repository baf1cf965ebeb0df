/**
 * The migration link between two hosts: what `tcp:` is in production, in virtual time and with faults.
 *
 *   source  open() -> Channel ==pipe==> Channel <- accept() <- listening()  destination
 *                             <==pipe==
 *
 * Faults: stall (nothing moves for a while), setBandwidth, corrupt (a middlebox flips a bit that TCP's checksum did not
 * catch), cut (both ends learn of it, or only after a while), and a host that crashed: its end falls silent, the other
 * one is reset by the dead machine's network card, or hears nothing.
 */
import type { Channel } from '../../migration/channel.js';
import type { ListeningChannel } from '../../migration/destination-stream.js';
import { ChannelError } from '../../migration/errors.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { LinkEnd } from './link-end.js';

export interface LinkOptions {
  readonly bytesPerSecond: number;
  readonly delayNs: number;
  /** Added to the delay, uniform; order is kept. */
  readonly jitterNs: number;
  /** Bytes on their way or not yet taken by the receiver, each way. */
  readonly windowBytes: number;
  readonly maxSegmentBytes: number;
  /** How long a peer that says nothing more is thought alive; no end learns earlier of a silent cut. */
  readonly giveUpNs: number;
}

/** 10 Gb/s in one rack. */
export const RACK_LINK: LinkOptions = {
  bytesPerSecond: 1.25e9,
  delayNs: 20_000,
  jitterNs: 30_000,
  windowBytes: 1 << 20,
  maxSegmentBytes: 64 * 1024,
  giveUpNs: 120e9,
};

/** How the ends learn that the link is gone. `silent`: not at all before they give up. */
export type CutKind = 'reset' | 'silent';

/** Where bytes go to. */
export type Towards = 'destination' | 'source';

interface Listener {
  readonly accept: (channel: Channel) => void;
  taken: boolean;
}

export class MigrationLink {
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #hosts: readonly [HostTime, HostTime];
  readonly #options: LinkOptions;
  readonly #ends: LinkEnd[] = [];
  #listener: Listener | null = null;
  #cut: CutKind | null = null;
  #bytesPerSecond: number;
  #stalledUntilNs = 0;

  constructor(
    scheduler: Scheduler,
    choices: Choices,
    hosts: readonly [source: HostTime, destination: HostTime],
    options: Partial<LinkOptions> = {},
  ) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#hosts = hosts;
    this.#options = { ...RACK_LINK, ...options };
    this.#bytesPerSecond = this.#options.bytesPerSecond;
    hosts.forEach((host, index) => {
      host.onCrash(() => this.#crashed(index));
    });
  }

  /** Ends and listeners of living hosts that nobody closed. */
  get openEnds(): number {
    return this.#ends.filter((end) => end.isOpen).length + (this.#listener === null ? 0 : 1);
  }

  /** Bytes that left either side so far. */
  get bytesCarried(): number {
    return this.#ends.reduce((sum, end) => sum + end.out.sentBytes, 0);
  }

  /** The source connects. */
  open(): Promise<Channel> {
    const [source] = this.#hosts;
    return new Promise((resolve, reject) => {
      const there = this.#delayNs();
      if (this.#cut === 'silent' || this.#hosts[1].isCrashed) {
        this.#at(this.#options.giveUpNs, 'no answer', () => reject(unreachable('ETIMEDOUT')), source);
        return;
      }
      this.#at(there, 'connect', () => {
        if (source.isCrashed) return;
        const listener = this.#listener;
        if (this.#cut !== null || listener === null || listener.taken) {
          const why = this.#cut !== null ? 'ENETUNREACH' : 'ECONNREFUSED';
          this.#at(this.#delayNs(), 'refused', () => reject(unreachable(why)), source);
          return;
        }
        listener.taken = true;
        const [near, far] = this.#connect();
        listener.accept(far);
        this.#at(this.#delayNs(), 'connected', () => resolve(near), source);
      });
    });
  }

  /** The destination listens, for one connection. */
  listening(): ListeningChannel {
    let refuse: (error: Error) => void = () => {};
    let accept: (channel: Channel) => void = () => {};
    const first = new Promise<Channel>((resolve, reject) => {
      accept = resolve;
      refuse = reject;
    });
    first.catch(() => {}); // nobody need wait for it
    const listener: Listener = { accept, taken: false };
    this.#listener = listener;
    return {
      address: 'sim:link',
      accept: () => first,
      close: async () => {
        if (this.#listener === listener) this.#listener = null;
        refuse(new ChannelError('stopped listening before a migration came'));
      },
    };
  }

  /** The cable is gone, for good: nothing of what is on its way arrives. */
  cut(kind: CutKind = 'reset'): void {
    this.#log('cut', kind === 'reset' ? 0 : 1);
    this.#cut = kind;
    for (const end of this.#ends) {
      end.out.die();
      this.#giveUpLater(end, kind);
    }
  }

  /** Nothing moves for so long, either way. */
  stall(ns: number): void {
    this.#log('stall', ns);
    this.#stalledUntilNs = Math.max(this.#stalledUntilNs, this.#scheduler.nowNs() + ns);
    for (const end of this.#ends) end.out.stall(ns);
  }

  setBandwidth(bytesPerSecond: number): void {
    this.#log('bandwidth', bytesPerSecond);
    this.#bytesPerSecond = bytesPerSecond;
    for (const end of this.#ends) end.out.bytesPerSecond = bytesPerSecond;
  }

  /** One bit of the next bytes that go there arrives wrong. False: there is no connection. */
  corrupt(towards: Towards): boolean {
    this.#log('corrupt', towards === 'destination' ? 1 : 0);
    const end = this.#ends.findLast(
      (one) => one.isOpen && one.host === this.#hosts[towards === 'destination' ? 0 : 1],
    );
    end?.out.corrupt();
    return end !== undefined;
  }

  #connect(): [LinkEnd, LinkEnd] {
    const [source, destination] = this.#hosts;
    const number = this.#ends.length >> 1;
    const make = (host: HostTime, what: string, peer: string): LinkEnd =>
      new LinkEnd({
        scheduler: this.#scheduler,
        choices: this.#choices.fork(`${what} ${number}`),
        host,
        peer,
        what,
        pipe: { ...this.#options, bytesPerSecond: this.#bytesPerSecond },
      });
    const near = make(source, 'to destination', 'sim:link');
    const far = make(destination, 'to source', 'the source');
    LinkEnd.connect(near, far);
    for (const { out } of [near, far]) out.stall(Math.max(0, this.#stalledUntilNs - this.#scheduler.nowNs()));
    this.#ends.push(near, far);
    return [near, far];
  }

  #crashed(index: number): void {
    const host = this.#hosts[index]!;
    if (index === 1) this.#listener = null;
    // a process that dies has its connections reset by its kernel; a machine that dies says nothing
    const tells = this.#choices.chance(0.5);
    for (const end of this.#ends) {
      if (end.host === host) end.crash(tells);
      else if (end.isOpen && !tells) this.#giveUpLater(end, 'silent');
    }
  }

  #giveUpLater(end: LinkEnd, kind: CutKind): void {
    const [delayNs, code] =
      kind === 'reset' ? [this.#delayNs(), 'ECONNRESET'] : [this.#options.giveUpNs, 'ETIMEDOUT'];
    this.#at(delayNs, `link ${kind}`, () => end.fail(`read ${code}`), end.host);
  }

  #delayNs(): number {
    return this.#options.delayNs + this.#choices.int(this.#options.jitterNs + 1);
  }

  #at(delayNs: number, what: string, call: () => void, host?: HostTime): void {
    this.#scheduler.at(delayNs, what, call, host);
  }

  #log(what: string, number: number): void {
    this.#scheduler.log.add(this.#scheduler.nowNs(), 'link', what, number);
  }
}

function unreachable(code: string): ChannelError {
  return new ChannelError(`cannot reach sim:link: connect ${code}; is \`srvm receive\` listening there?`);
}
