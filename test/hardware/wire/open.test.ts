import { describe, expect, it } from 'vitest';
import { openWire } from '../../../src/hardware/wire/open.js';
import { WireError } from '../../../src/hardware/wire/wire-error.js';

describe('openWire', () => {
  it.each([
    ['carrier-pigeon:x', /no kind of wire/],
    ['', /no kind of wire/],
    ['unix:', /path of the socket is missing/],
    [`unix:/${'x'.repeat(120)}`, /at most 107/],
    ['unix:a.sock,sever', /'sever' is not understood/],
    ['tcp:localhost', /not HOST:PORT/],
    ['tcp:localhost:0', /not HOST:PORT/],
    ['tcp:localhost:70000', /not HOST:PORT/],
    ['udp:127.0.0.1:9000,port=3', /udp knows local=HOST:PORT/],
    ['udp:127.0.0.1:9000,local=x', /'x' is not HOST:PORT/],
    ['pcap:file', /pcap:FILE,WIRE/],
    ['pcap:/nonexistent/dir/f,null', /cannot create the file/],
  ])('says what is wrong with %s', (spec, message) => {
    expect(() => openWire(spec)).toThrow(WireError);
    expect(() => openWire(spec)).toThrow(message);
  });

  it('opens every kind', async () => {
    for (const spec of [
      'null',
      'unix:nobody-listens-here.sock',
      'tcp:127.0.0.1:0,server',
      'udp:[::1]:9000',
      'udp:127.0.0.1:9000,local=127.0.0.1:0',
    ]) {
      const wire = openWire(spec);
      await wire.ready;
      expect(wire.receive(() => true, 1)).toBe(0);
      await wire.close();
      expect(wire.linkUp).toBe(false);
    }
  });

  it('reports a listener that cannot be', async () => {
    const wire = openWire('unix:/nonexistent/p.sock,server');
    await expect(wire.ready).rejects.toThrow(/cannot listen/);
    await wire.close();
  });
});
