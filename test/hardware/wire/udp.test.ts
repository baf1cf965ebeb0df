import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { UdpWire } from '../../../src/hardware/wire/udp.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { collect, frameOf, send, until } from './frames-of.js';

const open: Wire[] = [];
afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close();
});

async function bound(remotePort: number): Promise<UdpWire> {
  const wire = new UdpWire({
    remote: { host: '127.0.0.1', port: remotePort },
    local: { host: '127.0.0.1', port: 0 },
  });
  open.push(wire);
  await wire.ready;
  return wire;
}

describe('UDP wire', () => {
  it('carries one frame a datagram, both ways', async () => {
    const peer = createSocket('udp4');
    const seen: Buffer[] = [];
    peer.on('message', (message) => seen.push(message));
    await new Promise<void>((resolve) => peer.bind(0, '127.0.0.1', () => resolve()));
    const wire = await bound(peer.address().port);
    expect(wire.linkUp).toBe(true);
    send(wire, frameOf(1, 2, 1514, 3));
    await until(() => seen.length === 1, 'the datagram');
    expect(new Uint8Array(seen[0]!)).toEqual(frameOf(1, 2, 1514, 3));

    let woken = 0;
    wire.onWake = () => woken++;
    peer.send(frameOf(2, 1, 60, 4), wire.localPort, '127.0.0.1');
    peer.send(Buffer.from([1, 2, 3]), wire.localPort, '127.0.0.1');
    const got: Uint8Array[] = [];
    await until(() => {
      wire.receive(collect(got), 10);
      return got.length === 1 && wire.stats.rxDropped === 1;
    }, 'one frame, and one too short to be any');
    expect(got).toEqual([frameOf(2, 1, 60, 4)]);
    expect(woken).toBe(1);
    peer.close();
  });

  it('finds a host by its name, and says when there is none', async () => {
    const wire = new UdpWire({ remote: { host: 'localhost', port: 9 } });
    await wire.ready;
    expect(send(wire, frameOf(1, 2))).toBe(true);
    await wire.close();
    const lost = new UdpWire({ remote: { host: 'no-such-host.invalid', port: 9 } });
    await expect(lost.ready).rejects.toThrow(/host is not known/);
    await lost.close();
  });

  it('refuses what has no room, and says when its port is taken', async () => {
    const wire = await bound(9);
    let taken = 0;
    for (let i = 0; i < 1000; i++) if (send(wire, frameOf(1, 2))) taken++;
    expect(taken).toBeLessThan(1000);
    expect(wire.stats.txDropped).toBe(1000 - taken);
    const second = new UdpWire({
      remote: { host: '127.0.0.1', port: 9 },
      local: { host: '127.0.0.1', port: wire.localPort },
    });
    await expect(second.ready).rejects.toThrow(/port is in use/);
    await second.close();
  });
});
