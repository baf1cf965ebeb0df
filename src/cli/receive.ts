/** `srvm receive`: a VMM process that waits for a VM to be migrated into it. */
import { Command } from 'commander';
import { MAX_RAM_BYTES } from '../machine/layout.js';
import { type HostFlags, hostOf, withHostOptions } from './host-options.js';
import { parseNet, parseSize, parseVf, parseVif } from './options.js';
import { repeatable } from './output.js';
import { serveVmm } from './serve.js';

interface ReceiveOptions extends HostFlags {
  readonly name: string;
  readonly listen: string;
  readonly memory?: string;
  readonly vf: readonly string[];
  readonly net: readonly string[];
  readonly vif: readonly string[];
}

export function receiveCommand(): Command {
  const command = new Command('receive')
    .description('wait for a VM to arrive')
    .requiredOption('--name <name>', 'what to call the VM here')
    .requiredOption('--listen <address>', 'tcp:HOST:PORT, unix:PATH, or file:PATH to restore a saved VM')
    .option('--memory <size>', 'refuse a guest with more RAM than this')
    .option('--vf <vf>', 'the VF it will have here: wire=WIRE,pcap=FILE (repeatable)', repeatable, [])
    .option(
      '--net <net>',
      'the paravirtual NIC it will have here: wire=WIRE,pcap=FILE (repeatable)',
      repeatable,
      [],
    )
    .option(
      '--vif <vif>',
      'the virtual interface it will have here: name=NAME,wire=WIRE,cores=N (repeatable)',
      repeatable,
      [],
    );
  return withHostOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  srvm receive --name b --listen tcp:127.0.0.1:4444 --vf wire=unix:p1.sock',
    )
    .action(async (options: ReceiveOptions) => {
      const vfs = options.vf.map(parseVf);
      const nets = options.net.map(parseNet);
      const vifs = options.vif.map(parseVif);
      const maxRamBytes =
        options.memory === undefined ? MAX_RAM_BYTES : parseSize(options.memory, '--memory');
      await serveVmm({
        name: options.name,
        console: options.console === true ? 'terminal' : (options.console ?? true),
        ...hostOf(options),
        begin: async ({ migrations }) =>
          `listening on ${await migrations.listen(options.listen, vfs, maxRamBytes, nets, vifs)}`,
      });
    });
}
