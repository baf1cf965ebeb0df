/**
 * `srvm link`: the VFs of a VMM's cards, in the words of `ip link`. A card is its VMM's name, or NAME:1, NAME:2 ... for a
 * VMM with several.
 *
 *   srvm link set a vf 0 mac 52:54:00:00:00:07 vlan 42 qos 3 spoofchk off
 *   srvm link set a vf 0 state suspend
 *   srvm link show a
 */
import { Command } from 'commander';
import { OptionError, parseMac, parseWhole } from './options.js';
import { connectVm, printJson, printTable } from './output.js';

const MAX_CARDS = 64;
const MAX_VF = 62;
const MAX_RATE_MBPS = 1_000_000;
const ZERO_MAC = '00:00:00:00:00:00';

export interface LinkSet {
  readonly vm: string;
  readonly card: number;
  readonly vf: number;
  readonly change: Readonly<Record<string, string | number | boolean>>;
}

type Read = (text: string) => string | number | boolean;

const onOff =
  (what: string): Read =>
  (text) => {
    if (text === 'on' || text === 'off') return text === 'on';
    throw new OptionError(`${what}: '${text}' is neither on nor off`);
  };

/** iproute2's words, the names on the control socket, and how a value is read. */
const WORDS: Readonly<Record<string, readonly [string, Read]>> = {
  mac: ['mac', (text) => (text === ZERO_MAC ? text : parseMac(text, 'mac'))],
  vlan: ['vlan', (text) => parseWhole(text, 'vlan', 0, 4094)],
  qos: ['qos', (text) => parseWhole(text, 'qos', 0, 7)],
  rate: ['max-tx-rate', (text) => parseWhole(text, 'rate', 0, MAX_RATE_MBPS)],
  max_tx_rate: ['max-tx-rate', (text) => parseWhole(text, 'max_tx_rate', 0, MAX_RATE_MBPS)],
  spoofchk: ['spoofchk', onOff('spoofchk')],
  trust: ['trust', onOff('trust')],
  state: ['state', (text) => text],
};

/** The words behind `srvm link set`. @throws OptionError */
export function parseLinkSet(words: readonly string[]): LinkSet {
  const rest = words[0] === 'dev' ? words.slice(1) : [...words];
  const [pf, vfWord, number, ...settings] = rest;
  if (pf === undefined || vfWord !== 'vf' || number === undefined || settings.length === 0) {
    throw new OptionError('link set: write for example srvm link set a vf 0 state disable');
  }
  const change: Record<string, string | number | boolean> = {};
  for (let i = 0; i < settings.length; i += 2) {
    const word = settings[i]!;
    const known = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
    if (known === undefined) {
      throw new OptionError(`link set: '${word}' is not understood; known: ${Object.keys(WORDS).join(' ')}`);
    }
    const value = settings[i + 1];
    if (value === undefined) throw new OptionError(`link set: '${word}' has no value`);
    const [name, read] = known;
    if (Object.hasOwn(change, name)) throw new OptionError(`link set: '${word}' is given twice`);
    change[name] = read(value);
  }
  return { ...parseCard(pf), vf: parseWhole(number, 'vf', 0, MAX_VF), change };
}

/** `a` is card 0 of VMM a, `a:1` its second. @throws OptionError */
export function parseCard(text: string): { vm: string; card: number } {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return { vm: text, card: 0 };
  return { vm: text.slice(0, colon), card: parseWhole(text.slice(colon + 1), 'card', 0, MAX_CARDS - 1) };
}

interface ShownVf {
  readonly vf: number;
  readonly mac: string;
  readonly vlan: number;
  readonly qos: number;
  readonly spoofchk: boolean;
  readonly trust: boolean;
  readonly 'max-tx-rate': number;
  readonly 'link-state': string;
}

interface ShownCard {
  readonly card: number;
  readonly wire: string;
  readonly link: string;
  readonly vfs: readonly ShownVf[];
}

export function linkCommand(): Command {
  const link = new Command('link').description("the VFs of a VMM's cards, in the words of ip link");
  link
    .command('set')
    .description('change a VF: mac, vlan [qos], max_tx_rate, spoofchk, trust, state')
    .argument(
      '<words...>',
      'PF vf NUM followed by names and values; PF is the VMM, or VMM:1 for its second card; states: auto enable disable ' +
        'migrate cancelmigration suspend resume',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  srvm link set a vf 0 mac 52:54:00:00:00:07 vlan 42\n  srvm link set a vf 0 state suspend',
    )
    .action(async (words: string[]) => {
      const { vm, card, vf, change } = parseLinkSet(words);
      const client = await connectVm(vm);
      try {
        await client.execute('x-srvm-link-set', { card, vf, change });
      } finally {
        client.close();
      }
    });
  link
    .command('show')
    .description('what each VF in use is set to')
    .argument('<pf>', 'the VMM, or VMM:1 for its second card')
    .option('--json', 'print JSON', false)
    .addHelpText('after', '\nExample:\n  srvm link show a')
    .action(async (pf: string, options: { json: boolean }) => {
      const { vm, card } = parseCard(pf);
      const client = await connectVm(vm);
      try {
        const cards = await client.execute<ShownCard[]>('x-srvm-query-links');
        const shown = cards[card];
        if (shown === undefined) throw new OptionError(`${vm} has no card ${card}`);
        if (options.json) printJson(shown);
        else show(shown);
      } finally {
        client.close();
      }
    });
  return link;
}

function show({ wire, link, vfs }: ShownCard): void {
  process.stdout.write(`${wire}: link ${link}\n`);
  const word = (on: boolean): string => (on ? 'on' : 'off');
  printTable(
    ['vf', 'mac', 'vlan', 'qos', 'spoofchk', 'trust', 'max_tx_rate', 'state'],
    vfs.map((each) => [
      each.vf,
      each.mac,
      each.vlan,
      each.qos,
      word(each.spoofchk),
      word(each.trust),
      each['max-tx-rate'],
      each['link-state'],
    ]),
  );
}
