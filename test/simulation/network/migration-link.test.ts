/** The migration link: what goes in comes out, in order; and how each fault looks from both ends. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Channel } from '../../../src/migration/channel.js';
import { ChannelError } from '../../../src/migration/errors.js';
import { KeepingSink, type LinkRig, makeLinkRig, runDry } from './link-rig.js';

function numbered(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i + start) % 251;
  return bytes;
}

interface Connected extends LinkRig {
  readonly near: Channel;
  readonly far: Channel;
  readonly nearSink: KeepingSink;
  readonly farSink: KeepingSink;
}

async function connect(rig: LinkRig): Promise<Connected> {
  const listener = rig.link.listening();
  const ends: { near?: Channel; far?: Channel } = {};
  void rig.link.open().then((channel) => {
    ends.near = channel;
  });
  void listener.accept().then(async (channel) => {
    ends.far = channel;
    await listener.close();
  });
  await rig.scheduler.run(() => ends.near !== undefined && ends.far !== undefined);
  const nearSink = new KeepingSink();
  const farSink = new KeepingSink();
  ends.near!.receive(nearSink);
  ends.far!.receive(farSink);
  return { ...rig, near: ends.near!, far: ends.far!, nearSink, farSink };
}

/** How a promise ended, once the run is over. */
function watch(promise: Promise<unknown>): { outcome: string } {
  const seen = { outcome: 'pending' };
  promise.then(
    () => {
      seen.outcome = 'resolved';
    },
    (error: unknown) => {
      seen.outcome = error instanceof ChannelError ? error.message : `not a ChannelError: ${String(error)}`;
    },
  );
  return seen;
}

describe('the migration link', () => {
  it('carries what was sent, in order, both ways, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.nat(12_000), { maxLength: 8 }),
        fc.array(fc.nat(3_000), { maxLength: 5 }),
        fc.constantFrom(500, 4_096, 1 << 20),
        async (seed, forth, back, windowBytes) => {
          const rig = await connect(makeLinkRig(seed, { windowBytes }));
          const sent = forth.map((length, i) => numbered(length, i));
          const answered = back.map((length, i) => numbered(length, i + 100));
          const seen = sent.map((bytes) => watch(rig.near.send(bytes)));
          for (const bytes of answered) void watch(rig.far.send(bytes));
          void rig.near.close();
          await runDry(rig.scheduler);
          expect(seen.every(({ outcome }) => outcome === 'resolved')).toBe(true);
          expect(Buffer.compare(rig.farSink.bytes, Buffer.concat(sent))).toBe(0);
          expect(rig.farSink.ending).toBe(null);
          // what the other side said while this one was closing may be cut off, but never wrong
          const heard = rig.nearSink.bytes;
          expect(Buffer.compare(heard, Buffer.concat(answered).subarray(0, heard.length))).toBe(0);
          expect(rig.link.openEnds).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('keeps what arrives before there is a sink, and holds the sender back', async () => {
    const rig = makeLinkRig(1, { windowBytes: 10_000 });
    const listener = rig.link.listening();
    let far: Channel | null = null;
    void listener.accept().then((channel) => {
      far = channel;
    });
    let whole = { outcome: '' };
    void rig.link.open().then((near) => {
      whole = watch(near.send(numbered(30_000)));
    });
    await runDry(rig.scheduler);
    expect(whole.outcome).toBe('pending');
    const sink = new KeepingSink();
    far!.receive(sink);
    await runDry(rig.scheduler);
    expect(whole.outcome).toBe('resolved');
    expect(Buffer.compare(sink.bytes, numbered(30_000))).toBe(0);
  });

  it('takes the time that its bandwidth and delay take', async () => {
    const rig = await connect(makeLinkRig(2, { bytesPerSecond: 1e6, delayNs: 5e6, jitterNs: 0 }));
    const startNs = rig.scheduler.nowNs();
    void rig.near.send(new Uint8Array(50_000));
    await rig.scheduler.run(() => rig.farSink.bytes.length === 50_000);
    const tookMs = (rig.scheduler.nowNs() - startNs) / 1e6;
    expect(tookMs).toBeGreaterThanOrEqual(55);
    expect(tookMs).toBeLessThan(56);
    rig.link.setBandwidth(1e7);
    void rig.near.send(new Uint8Array(50_000));
    await rig.scheduler.run(() => rig.farSink.bytes.length === 100_000);
    expect((rig.scheduler.nowNs() - startNs) / 1e6).toBeLessThan(tookMs + 11);
  });

  it('that stalls delivers late, and everything', async () => {
    const rig = await connect(makeLinkRig(3));
    void rig.near.send(numbered(200_000));
    const startNs = rig.scheduler.nowNs();
    rig.link.stall(300e6);
    await runDry(rig.scheduler);
    expect(rig.scheduler.nowNs() - startNs).toBeGreaterThan(300e6);
    expect(Buffer.compare(rig.farSink.bytes, numbered(200_000))).toBe(0);
  });

  it('that is cut tells both ends, and sends reject', async () => {
    const rig = await connect(makeLinkRig(4, { bytesPerSecond: 1e6 }));
    const seen = watch(rig.near.send(numbered(100_000)));
    await rig.scheduler.run(() => rig.farSink.bytes.length > 1000);
    rig.link.cut();
    await runDry(rig.scheduler);
    expect(seen.outcome).toBe('migration link to sim:link: read ECONNRESET');
    expect(rig.farSink.ending?.message).toBe('migration link to the source: read ECONNRESET');
    expect(rig.nearSink.ending).toBeInstanceOf(ChannelError);
    expect(rig.link.openEnds).toBe(0);
    const later = watch(rig.near.send(numbered(1)));
    const reopened = watch(rig.link.open());
    await runDry(rig.scheduler);
    expect(later.outcome).toContain('ECONNRESET');
    expect(reopened.outcome).toContain('cannot reach sim:link: connect ENETUNREACH');
  });

  it('that is cut silently tells nobody before they give up', async () => {
    const rig = await connect(makeLinkRig(5, { giveUpNs: 60e9 }));
    rig.link.cut('silent');
    const seen = watch(rig.near.send(numbered(10)));
    let isLate = false;
    rig.scheduler.at(59e9, 'late', () => {
      isLate = true;
    });
    await rig.scheduler.run(() => isLate);
    expect(rig.nearSink.ending).toBe(undefined);
    await runDry(rig.scheduler);
    expect(rig.nearSink.ending?.message).toContain('ETIMEDOUT');
    expect(seen.outcome).toContain('ETIMEDOUT');
  });

  it('whose middlebox flips a bit delivers the same length, one bit wrong', async () => {
    const rig = await connect(makeLinkRig(6));
    expect(rig.link.corrupt('destination')).toBe(true);
    void rig.near.send(numbered(100_000));
    await runDry(rig.scheduler);
    const got = rig.farSink.bytes;
    const wrong = [...numbered(100_000)].flatMap((byte, i) => (byte === got[i] ? [] : [byte ^ got[i]!]));
    expect(got.length).toBe(100_000);
    expect(wrong.length).toBe(1);
    expect(Math.log2(wrong[0]!) % 1).toBe(0);
  });

  it('to a host that crashed: what left before arrives, then a reset or nothing for long', async () => {
    const endings = new Set<string | undefined>();
    for (let seed = 0; seed < 8; seed++) {
      const rig = await connect(makeLinkRig(seed));
      void rig.near.send(numbered(1000));
      const lost = watch(rig.near.send(numbered(2_000_000)));
      await rig.scheduler.run(() => rig.link.bytesCarried > 1000);
      rig.source.crash();
      expect(rig.link.openEnds).toBe(1);
      await runDry(rig.scheduler);
      expect(rig.farSink.bytes.length).toBeGreaterThanOrEqual(1000);
      expect(rig.nearSink.ending).toBe(undefined);
      expect(lost.outcome).toBe('pending');
      expect(rig.link.openEnds).toBe(0);
      endings.add(rig.farSink.ending?.message.split(' ').at(-1));
    }
    expect([...endings].sort()).toEqual(['ECONNRESET', 'ETIMEDOUT']);
  });

  it('answers what arrives at a closed end with a reset', async () => {
    const rig = await connect(makeLinkRig(8, { bytesPerSecond: 1e6 }));
    const seen = watch(rig.near.send(numbered(500_000)));
    void rig.far.close();
    await runDry(rig.scheduler);
    expect(rig.nearSink.ending).toBe(null);
    expect(seen.outcome).toContain('ECONNRESET');
    expect(rig.link.openEnds).toBe(0);
  });

  it('refuses who connects where nobody listens, and turns a second one away', async () => {
    const rig = makeLinkRig(9);
    const alone = watch(rig.link.open());
    await runDry(rig.scheduler);
    expect(alone.outcome).toBe(
      'cannot reach sim:link: connect ECONNREFUSED; is `srvm receive` listening there?',
    );
    const both = await connect(rig);
    const second = watch(both.link.open());
    await runDry(rig.scheduler);
    expect(second.outcome).toContain('ECONNREFUSED');
  });

  it('keeps a new bandwidth and a stall for connections that come later', async () => {
    const rig = makeLinkRig(10);
    rig.link.setBandwidth(1e6);
    rig.link.stall(50e6);
    const connected = await connect(rig);
    void connected.near.send(new Uint8Array(10_000));
    await runDry(rig.scheduler);
    expect(connected.farSink.bytes.length).toBe(10_000);
    expect(rig.scheduler.nowNs()).toBeGreaterThan(60e6);
  });

  it('connects nobody to a source that crashed on the way', async () => {
    const rig = makeLinkRig(11);
    const listener = rig.link.listening();
    const accepted = watch(listener.accept());
    void rig.link.open();
    rig.source.crash();
    await runDry(rig.scheduler);
    expect(accepted.outcome).toBe('pending');
    await listener.close();
    expect(rig.link.openEnds).toBe(0);
  });

  it('runs the same for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const rig = await connect(makeLinkRig(seed));
      void rig.near.send(numbered(300_000));
      void rig.near.close();
      await runDry(rig.scheduler);
      return rig.scheduler.log.hash;
    };
    expect(await run(1)).toBe(await run(1));
    expect(await run(1)).not.toBe(await run(2));
  });
});
