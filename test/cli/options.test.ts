import { expect, test } from 'vitest';
import {
  OptionError,
  parseKeyValues,
  parseMac,
  parseNet,
  parseSize,
  parseVf,
  parseVif,
} from '../../src/cli/options.js';
import { parseVlans } from '../../src/cli/vif.js';

test('sizes are powers of two', () => {
  expect(parseSize('256M', 'x')).toBe(268435456);
  expect(parseSize('1G', 'x')).toBe(2 ** 30);
  expect(parseSize('0', 'x')).toBe(0);
  expect(parseSize('1.5k', 'x')).toBe(1536);
  for (const bad of ['', 'M', '-1M', '12Q', '1e9', '0.3'])
    expect(() => parseSize(bad, 'x')).toThrow(OptionError);
});

test('a part without a known key belongs to the value before it', () => {
  expect(parseKeyValues('wire=unix:a.sock,server,mac=1', 'x', ['mac', 'wire'] as const)).toEqual({
    wire: 'unix:a.sock,server',
    mac: '1',
  });
  expect(() => parseKeyValues('wir=1', 'x', ['wire'] as const)).toThrow(OptionError);
  expect(() => parseKeyValues('wire=1,wire=2', 'x', ['wire'] as const)).toThrow(/twice/);
});

test('--vf', () => {
  expect(parseVf('mac=52:54:00:AA:00:01,wire=udp:127.0.0.1:9000,local=127.0.0.1:9001')).toEqual({
    mac: '52:54:00:aa:00:01',
    wire: 'udp:127.0.0.1:9000,local=127.0.0.1:9001',
    trust: false,
  });
  expect(() => parseMac('01:00:00:00:00:00', 'mac')).toThrow(/multicast/);
  expect(() => parseVf('vlan=5000')).toThrow(OptionError);
});

test('--vif, and the VLANs of srvm vif', () => {
  expect(parseVif('name=blue,wire=unix:a.sock,server,cores=2,rate=1000')).toEqual({
    name: 'blue',
    wire: 'unix:a.sock,server',
    cores: 2,
    rateMbps: 1000,
  });
  for (const bad of ['cores=0', 'cores=9', 'rate=-1', 'mac=01:00:00:00:00:00', 'vlan=5'])
    expect(() => parseVif(bad), bad).toThrow(OptionError);
  expect(parseVlans('all', '--vlans')).toBeNull();
  expect(parseVlans('5,7', '--vlans')).toEqual([5, 7]);
  expect(() => parseVlans('5,,7', '--vlans')).toThrow(OptionError);
});

test('a paravirtual NIC has an address, a wire and a recording, and nothing of a VF', () => {
  expect(parseNet('mac=52:54:00:00:00:0A,wire=unix:a.sock,server,pcap=x.pcapng')).toEqual({
    mac: '52:54:00:00:00:0a',
    wire: 'unix:a.sock,server',
    pcap: 'x.pcapng',
  });
  expect(parseNet('wire=null')).toEqual({ wire: 'null' });
  for (const bad of ['mac=01:00:00:00:00:00', 'vlan=5', 'trust=on'])
    expect(() => parseNet(bad), bad).toThrow(OptionError);
});
