/** `srvm link set` in iproute2's words. */
import { describe, expect, it } from 'vitest';
import { parseCard, parseLinkSet } from '../../src/cli/link.js';
import { OptionError } from '../../src/cli/options.js';

const parse = (line: string) => parseLinkSet(line.split(' '));

describe('link set', () => {
  it('takes what ip link set takes for a VF', () => {
    expect(
      parse(
        'dev a vf 3 mac 52:54:00:AA:00:01 vlan 42 qos 3 max_tx_rate 500 spoofchk off trust on state disable',
      ),
    ).toEqual({
      vm: 'a',
      card: 0,
      vf: 3,
      change: {
        mac: '52:54:00:aa:00:01',
        vlan: 42,
        qos: 3,
        'max-tx-rate': 500,
        spoofchk: false,
        trust: true,
        state: 'disable',
      },
    });
    expect(parse('a:1 vf 0 rate 10')).toMatchObject({ card: 1, change: { 'max-tx-rate': 10 } });
    expect(parse('a vf 0 mac 00:00:00:00:00:00').change).toEqual({ mac: '00:00:00:00:00:00' });
  });

  it.each([
    'a',
    'a vf 0',
    'a vf 0 mac',
    'a vf 99 trust on',
    'a fv 0 trust on',
    'a vf 0 trust maybe',
    'a vf 0 vlan 4095',
    'a vf 0 mac 01:00:00:00:00:00',
    'a vf 0 speed 3',
    'a vf 0 rate 3 max_tx_rate 4',
    'a:x vf 0 trust on',
    'a vf 0 toString 1',
  ])('refuses %s', (line) => {
    expect(() => parse(line)).toThrow(OptionError);
  });

  it('names a card by its VMM', () => {
    expect(parseCard('lab')).toEqual({ vm: 'lab', card: 0 });
    expect(parseCard('lab:2')).toEqual({ vm: 'lab', card: 2 });
  });
});
