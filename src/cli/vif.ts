/**
 * `srvm vif`: the virtual interfaces of a VMM's self-virtualizing devices.
 *
 *   srvm vif list a
 *   srvm vif create a blue --wire unix:p0.sock --cores 2 --rate 1000
 *   srvm vif set a blue --rate 0 --vlans 5,7 --spoofchk off
 *   srvm vif remove a blue
 */
import { Command } from 'commander';
import { OptionError, parseMac, parseWhole } from './options.js';
import { connectVm, printJson, printTable } from './output.js';

const MAX_RATE_MBPS = 1_000_000;
const MAX_CORES = 8;

interface VifOptions {
  readonly mac?: string;
  readonly wire?: string;
  readonly cores?: string;
  readonly rate?: string;
  readonly vlans?: string;
  readonly spoofchk?: string;
  readonly promisc?: string;
  readonly multicast?: string;
  readonly json?: boolean;
}

interface ShownVif {
  readonly name: string;
  readonly mac: string;
  readonly wire: string;
  readonly core: number;
  readonly cores: number;
  readonly rateMbps: number;
  readonly serving: boolean;
  readonly attached: boolean;
  readonly filters: { spoofCheck: boolean; promiscuous: boolean; multicast: boolean; vlans: number[] | null };
  readonly counts: { held: number; spoofed: number; filtered: number; missed: number };
  readonly stats: { txFrames: number; rxFrames: number } | null;
}

export function vifCommand(): Command {
  const vif = new Command('vif').description("the virtual interfaces of a VMM's self-virtualizing devices");
  const settings = (command: Command): Command =>
    command
      .option('--rate <mbps>', 'most that it sends, Mb/s; 0 = unlimited')
      .option('--vlans <list>', 'VLANs whose tagged frames may pass: 5,7 or all')
      .option('--spoofchk <on|off>', "whether frames with another's source address are dropped")
      .option('--promisc <on|off>', 'whether frames for any address come in')
      .option('--multicast <on|off>', 'whether multicast comes in');
  vif.addCommand(
    settings(new Command('create').description('make a VIF, for a guest that arrives'))
      .argument('<vm>')
      .argument('<name>')
      .option('--mac <mac>', 'its address (made up)')
      .option('--wire <wire>', 'the wire of its device (null)')
      .option('--cores <n>', 'cores of the device, if it is new (1)')
      .action((vm: string, name: string, options: VifOptions) =>
        ask(vm, 'x-srvm-vif-create', { name, ...placeOf(options), ...changeOf(options) }),
      ),
  );
  vif.addCommand(
    settings(new Command('set').description('change rate and filters of a VIF, at once'))
      .argument('<vm>')
      .argument('<name>')
      .action((vm: string, name: string, options: VifOptions) =>
        ask(vm, 'x-srvm-vif-set', { name, ...changeOf(options) }),
      ),
  );
  vif.addCommand(
    new Command('remove')
      .description('remove a VIF that no guest has')
      .argument('<vm>')
      .argument('<name>')
      .action((vm: string, name: string) => ask(vm, 'x-srvm-vif-remove', { name })),
  );
  vif.addCommand(
    new Command('list')
      .description('show the VIFs')
      .argument('<vm>')
      .option('--json', 'print JSON')
      .action((vm: string, options: VifOptions) => list(vm, options.json === true)),
  );
  return vif;
}

async function ask(vm: string, command: string, args: Record<string, unknown>): Promise<void> {
  const client = await connectVm(vm);
  try {
    await client.execute(command, args as never);
  } finally {
    client.close();
  }
}

async function list(vm: string, json: boolean): Promise<void> {
  const client = await connectVm(vm);
  try {
    const vifs = await client.execute<ShownVif[]>('x-srvm-query-vifs');
    if (json) printJson(vifs);
    else {
      printTable(
        ['VIF', 'address', 'core', 'guest', 'rate Mb/s', 'filters', 'sent', 'received', 'held', 'refused'],
        vifs.map(rowOf),
      );
    }
  } finally {
    client.close();
  }
}

function rowOf(vif: ShownVif): string[] {
  const { filters, counts, stats } = vif;
  const words = [
    filters.spoofCheck ? 'spoofchk' : '',
    filters.promiscuous ? 'promisc' : '',
    filters.multicast ? 'multicast' : '',
    filters.vlans === null ? '' : `vlans ${filters.vlans.join(',')}`,
  ];
  return [
    vif.name,
    vif.mac,
    `${vif.core} of ${vif.cores}`,
    vif.serving ? 'served' : vif.attached ? 'elsewhere' : '-',
    vif.rateMbps === 0 ? '-' : String(vif.rateMbps),
    words.filter((word) => word !== '').join(' '),
    String(stats?.txFrames ?? 0),
    String(stats?.rxFrames ?? 0),
    String(counts.held),
    String(counts.spoofed + counts.filtered),
  ];
}

function placeOf({ mac, wire, cores }: VifOptions): Record<string, unknown> {
  return {
    ...(mac === undefined ? {} : { mac: parseMac(mac, '--mac') }),
    ...(wire === undefined ? {} : { wire }),
    ...(cores === undefined ? {} : { cores: parseWhole(cores, '--cores', 1, MAX_CORES) }),
  };
}

/** @throws OptionError */
function changeOf({ rate, vlans, spoofchk, promisc, multicast }: VifOptions): Record<string, unknown> {
  const filters = {
    ...(vlans === undefined ? {} : { vlans: parseVlans(vlans, '--vlans') }),
    ...(spoofchk === undefined ? {} : { spoofCheck: onOff(spoofchk, '--spoofchk') }),
    ...(promisc === undefined ? {} : { promiscuous: onOff(promisc, '--promisc') }),
    ...(multicast === undefined ? {} : { multicast: onOff(multicast, '--multicast') }),
  };
  return {
    ...(rate === undefined ? {} : { rate: parseWhole(rate, '--rate', 0, MAX_RATE_MBPS) }),
    ...(Object.keys(filters).length === 0 ? {} : { filters }),
  };
}

/** `5,7`, or `all`. @throws OptionError */
export const parseVlans = (text: string, what: string, separator = ','): number[] | null =>
  text === 'all' ? null : text.split(separator).map((vid) => parseWhole(vid, what, 0, 4094));

function onOff(text: string, what: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw new OptionError(`${what}: '${text}' is neither on nor off`);
}
