import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StreamWire } from '../../../src/hardware/wire/stream.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { collect, drain, frameOf, send, until } from './frames-of.js';

let folder = '';
let path = '';
const open: Wire[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'srvm-wire-'));
  path = join(folder, 'p.sock');
});

afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close();
  rmSync(folder, { recursive: true, force: true });
});

function wireOf(server: boolean): StreamWire {
  const wire = new StreamWire({ address: { kind: 'unix', path }, server, retryMaxMs: 20 });
  open.push(wire);
  return wire;
}

async function pair(): Promise<[StreamWire, StreamWire]> {
  const server = wireOf(true);
  await server.ready;
  const client = wireOf(false);
  await until(() => client.linkUp && server.linkUp, 'the link');
  return [server, client];
}

/** A raw peer that can send any bytes. */
async function rawPeer(): Promise<Socket> {
  const socket = connect({ path });
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  return socket;
}

describe('stream wire', () => {
  it('carries frames of every size both ways, many a write', async () => {
    const [server, client] = await pair();
    const sent = Array.from({ length: 300 }, (_, i) => frameOf(1, 2, 60 + ((i * 97) % 9000), i & 0xff));
    const got: Uint8Array[] = [];
    const back: Uint8Array[] = [];
    for (const [index, frame] of sent.entries()) {
      client.transmit(frame, 0, frame.length);
      if (index % 50 !== 49) continue;
      client.flush();
      await until(() => {
        server.receive(collect(got), 1000);
        return got.length === index + 1;
      }, 'the batch');
    }
    expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
    send(server, frameOf(2, 1, 60, 5));
    await until(() => client.receive(collect(back), 10) > 0, 'the reply');
    expect(back).toEqual([frameOf(2, 1, 60, 5)]);
    expect(server.stats).toMatchObject({ rxFrames: 300, txFrames: 1, rxDropped: 0, framingErrors: 0 });
  });

  it('carries frames over TCP too', async () => {
    const server = new StreamWire({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, server: true });
    open.push(server);
    await server.ready;
    const port = server.listeningPort!;
    const client = new StreamWire({ address: { kind: 'tcp', host: '127.0.0.1', port }, server: false });
    open.push(client);
    await until(() => client.linkUp && server.linkUp, 'the link');
    send(server, frameOf(2, 1, 900, 6));
    const got: Uint8Array[] = [];
    await until(() => client.receive(collect(got), 10) > 0, 'the frame');
    expect(got).toEqual([frameOf(2, 1, 900, 6)]);
  });

  it("speaks the framing of QEMU's stream backend", async () => {
    const server = wireOf(true);
    await server.ready;
    const peer = await rawPeer();
    const seen: Buffer[] = [];
    peer.on('data', (chunk) => seen.push(chunk));
    await until(() => server.linkUp, 'the link');
    send(server, frameOf(1, 2, 300, 7));
    await until(() => Buffer.concat(seen).length === 304, 'the bytes');
    expect(Buffer.concat(seen).subarray(0, 4)).toEqual(Buffer.from([0, 0, 1, 44]));
    expect(new Uint8Array(Buffer.concat(seen).subarray(4))).toEqual(frameOf(1, 2, 300, 7));
    peer.destroy();
  });

  it('puts frames together whatever pieces they arrive in', async () => {
    const server = wireOf(true);
    await server.ready;
    const peer = await rawPeer();
    const frames = [frameOf(1, 2, 60, 1), frameOf(1, 2, 1000, 2), frameOf(1, 2, 61, 3)];
    const bytes = Buffer.concat(
      frames.flatMap((frame) => {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(frame.length);
        return [head, frame];
      }),
    );
    const got: Uint8Array[] = [];
    let from = 0;
    for (const cut of [2, 3, 40, 100, 1120, bytes.length]) {
      peer.write(bytes.subarray(from, cut));
      from = cut;
      await new Promise((resolve) => setTimeout(resolve, 5));
      server.receive(collect(got), 10);
    }
    await until(() => {
      server.receive(collect(got), 10);
      return got.length === 3;
    }, 'all frames');
    expect(got).toEqual(frames);
    peer.destroy();
  });

  it.each([
    ['huge', [0xff, 0xff, 0xff, 0xff]],
    ['just too long', [0, 0, 0x26, 0x01]],
  ])('closes the connection and counts an error at a %s length, and takes the next peer', async (_, head) => {
    const server = wireOf(true);
    await server.ready;
    const peer = await rawPeer();
    let closed = false;
    peer.on('close', () => {
      closed = true;
    });
    peer.write(Buffer.from([...head, ...new Array(100).fill(1)]));
    await until(() => {
      drain(server);
      return closed;
    }, 'the connection to be closed');
    expect(server.stats.framingErrors).toBe(1);
    const next = wireOf(false);
    await until(() => next.linkUp && server.linkUp, 'the next peer');
    send(next, frameOf(1, 2, 60, 4));
    const got: Uint8Array[] = [];
    await until(() => server.receive(collect(got), 10) > 0, 'its frame');
    expect(got).toEqual([frameOf(1, 2, 60, 4)]);
  });

  it('skips frames too short to be any, and counts them', async () => {
    const server = wireOf(true);
    await server.ready;
    const peer = await rawPeer();
    peer.write(Buffer.from([0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]));
    await until(() => {
      drain(server);
      return server.stats.rxDropped === 2;
    }, 'both to be dropped');
    expect(server.linkUp).toBe(true);
    peer.destroy();
  });

  it('connects again when the other side was restarted', async () => {
    const [server, client] = await pair();
    let woken = 0;
    client.onWake = () => woken++;
    await server.close();
    await until(() => !client.linkUp, 'the link to go down');
    expect(woken).toBeGreaterThan(0);
    expect(send(client, frameOf(1, 2))).toBe(false);
    const again = wireOf(true);
    await again.ready;
    await until(() => client.linkUp && again.linkUp, 'the link to come back');
    send(client, frameOf(1, 2, 60, 8));
    const got: Uint8Array[] = [];
    await until(() => again.receive(collect(got), 10) > 0, 'a frame over the new link');
    expect(client.stats.connects).toBe(2);
  });

  it('is bounded: with a peer that does not read, frames are dropped and counted, and it recovers', async () => {
    const [server, client] = await pair();
    const frame = frameOf(1, 2, 1500);
    let taken = 0;
    for (let i = 0; i < 20_000; i++) {
      if (client.transmit(frame, 0, frame.length)) taken++;
      if (i % 100 === 0) {
        client.flush();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    expect(client.stats.txDropped).toBe(20_000 - taken);
    expect(taken).toBeLessThan(5000);
    const got: Uint8Array[] = [];
    await until(() => {
      client.flush();
      server.receive(collect(got), 1000);
      return got.length === taken;
    }, 'all that was taken');
    expect(send(client, frame)).toBe(true);
  });

  it('says that it is paused before anything is lost, and wakes its holder when it takes more', async () => {
    const [server, client] = await pair();
    const frame = frameOf(1, 2, 1500);
    let sent = 0;
    for (; !client.paused && sent < 20_000; sent++) {
      client.transmit(frame, 0, frame.length);
      if (sent % 100 === 0) client.flush();
    }
    expect(sent).toBeLessThan(20_000);
    // a large segment, cut into frames, still has room
    for (let i = 0; i < 45; i++, sent++) expect(client.transmit(frame, 0, frame.length)).toBe(true);
    expect(client.stats.txDropped).toBe(0);
    let woken = 0;
    client.onWake = () => void woken++;
    const got: Uint8Array[] = [];
    await until(() => {
      server.receive(collect(got), 1000);
      return woken > 0;
    }, 'the end of the pause');
    expect(client.paused).toBe(false);
    await until(() => {
      client.flush();
      server.receive(collect(got), 1000);
      return got.length === sent;
    }, 'every frame');
  });

  it('turns a second peer away', async () => {
    const [server] = await pair();
    const second = await rawPeer();
    await until(() => second.destroyed || second.readableEnded, 'the second to be closed');
    expect(server.stats.refusedPeers).toBe(1);
    expect(server.linkUp).toBe(true);
  });

  it('replaces the socket file of a process that died, but not a living one, nor another file', async () => {
    const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script, path]);
    expect(existsSync(path)).toBe(true);
    await wireOf(true).ready;
    await expect(wireOf(true).ready).rejects.toThrow(/it is taken/);
    path = join(folder, 'file');
    writeFileSync(path, 'precious');
    await expect(wireOf(true).ready).rejects.toThrow(/it is taken/);
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });
});
