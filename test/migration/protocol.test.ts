/** A source that follows the protocol to some point and then does not: driven frame by frame over a real link. */
import { describe, expect, it } from 'vitest';
import { FRAME, type FrameType } from '../../src/migration/stream/frame.js';
import { encodeRecord } from '../../src/migration/stream/records.js';
import { encodeRoundMarker } from '../../src/migration/stream/round-marker.js';
import { createPair } from './pair.js';

const RAM_BYTES = 1024 * 1024;

/** On a machine with much else to do: silence that is not meant must not end a test. */
const PATIENCE_MS = 30_000;

async function connected(silenceLimitMs = PATIENCE_MS) {
  const pair = await createPair({ ramBytes: RAM_BYTES, stepLimitMs: PATIENCE_MS, silenceLimitMs });
  const ended = pair.destination.run().catch((error: Error) => error);
  await pair.stream.connect();
  const offer = { ...pair.vm.offer, protocol: 2, plugin: null, verify: false, startRunning: true };
  const send = (type: FrameType, record: object = {}) => pair.stream.sendRecord(type, encodeRecord(record));
  const next = async (type: FrameType): Promise<void> => {
    for (;;) {
      const frame = await pair.stream.nextFrame();
      if (frame.type === FRAME.prepared) continue;
      expect(frame.type).toBe(type);
      return;
    }
  };
  return { ...pair, ended, offer, send, next };
}

type Connected = Awaited<ReturnType<typeof connected>>;

async function accepted(silenceLimitMs?: number): Promise<Connected> {
  const c = await connected(silenceLimitMs);
  await c.send(FRAME.hello, c.offer);
  await c.next(FRAME.accept);
  return c;
}

async function ready(silenceLimitMs?: number): Promise<Connected> {
  const c = await accepted(silenceLimitMs);
  await c.stream.sendState(FRAME.vmState, Uint8Array.of(1));
  await c.send(FRAME.end, { round: 1 });
  await c.next(FRAME.ready);
  return c;
}

/** The destination gave up with an error that says this, and has no VM. */
async function expectGivenUp({ ended, host, stream }: Connected, says: RegExp): Promise<void> {
  expect(String((await ended) as Error)).toMatch(says);
  expect(host.vm?.isRunning ?? false).toBe(false);
  if (host.vm) expect(host.vm.isDestroyed).toBe(true);
  await stream.close();
}

describe('the destination, hand-fed', () => {
  it('takes a correct sequence', async () => {
    const c = await ready();
    await c.send(FRAME.commit);
    await c.next(FRAME.running);
    expect(await c.ended).not.toBeInstanceOf(Error);
    expect(c.host.vm!.isRunning).toBe(true);
    await c.stream.close();
  });

  it('refuses pages before it has accepted', async () => {
    const c = await connected();
    await c.stream.sendRound(1);
    await expectGivenUp(c, /no place at stage "hello"/);
  });

  it('refuses COMMIT before READY', async () => {
    const c = await accepted();
    await c.send(FRAME.commit);
    await expectGivenUp(c, /commit frame has no place/);
  });

  it('refuses COMMIT while it still restores', async () => {
    const c = await connected();
    let sent = (): void => {};
    const isSent = new Promise<void>((resolve) => {
      sent = resolve;
    });
    c.host.hook = async (call) => {
      if (call !== 'restoreVmState') return;
      await isSent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      // between a timer and an immediate, sockets are read: it is there, however late the timer was
      await new Promise((resolve) => setImmediate(resolve));
    };
    await c.send(FRAME.hello, c.offer);
    await c.next(FRAME.accept);
    await c.stream.sendState(FRAME.vmState, Uint8Array.of(1));
    await c.send(FRAME.end, { round: 1 });
    await c.send(FRAME.commit);
    sent();
    await expectGivenUp(c, /commit frame has no place/);
  });

  it('refuses a second hello, pages after states, a round that lies', async () => {
    const twice = await accepted();
    await twice.send(FRAME.hello, twice.offer);
    await expectGivenUp(twice, /hello frame has no place/);
    const late = await accepted();
    await late.stream.sendState(FRAME.vmState, Uint8Array.of(1));
    await late.stream.sendRecord(FRAME.round, encodeRoundMarker({ round: 1, pages: 0 }));
    await expectGivenUp(late, /round frame has no place/);
    const lying = await accepted();
    await lying.stream.sendRecord(FRAME.round, encodeRoundMarker({ round: 1, pages: 5 }));
    await expectGivenUp(lying, /has 5 pages, 0 arrived/);
  });

  it('refuses another protocol version, and says which', async () => {
    const c = await connected();
    await c.send(FRAME.hello, { ...c.offer, protocol: 9 });
    const frame = await c.stream.nextFrame();
    expect(frame.type).toBe(FRAME.refuse);
    await expectGivenUp(c, /protocol 9, this end 2/);
  });

  it('refuses an end without a vCPU, and a device state without a device', async () => {
    const none = await accepted();
    await none.stream.sendState(FRAME.deviceState, Uint8Array.of(1));
    await none.send(FRAME.end, { round: 1 });
    await expectGivenUp(none, /"end" while this end was receiving/);
    const extra = await accepted();
    await extra.stream.sendState(FRAME.vmState, Uint8Array.of(1));
    await extra.stream.sendState(FRAME.deviceState, Uint8Array.of(1));
    await extra.send(FRAME.end, { round: 1 });
    await expectGivenUp(extra, /without a device/);
  });

  it('destroys its VM when the source goes away after READY', async () => {
    const c = await ready();
    await c.stream.close();
    await expectGivenUp(c, /closed the migration link/);
  });

  it('destroys its VM when the source falls silent after READY', async () => {
    const c = await ready(1500);
    await expectGivenUp(c, /silent/);
  });

  it('turns a second source away without harm to the first', async () => {
    const c = await ready();
    const { connectSocket } = await import('../../src/migration/socket-channel.js');
    const { parseAddress } = await import('../../src/migration/channel.js');
    const address = parseAddress(c.address);
    if (address.kind === 'file') throw new Error('no socket');
    const second = await connectSocket(address, 'second');
    await second.close();
    await c.send(FRAME.commit);
    await c.next(FRAME.running);
    expect(await c.ended).not.toBeInstanceOf(Error);
    await c.stream.close();
  });
});
