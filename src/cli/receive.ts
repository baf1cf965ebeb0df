/** `srvm receive`: a VMM process that waits for a VM to be migrated into it. */
import { Command } from 'commander';
import { MAX_RAM_BYTES } from '../machine/layout.js';
import { type InterruptFlags, withInterruptOptions } from './interrupt-options.js';
import { parseNet, parseSize, parseVf, parseVif } from './options.js';
import { repeatable } from './output.js';
import { linkSpeed, portClasses, portMtu } from './run.js';
import { IOMMU_OPTION, serveVmm } from './serve.js';

interface ReceiveOptions extends InterruptFlags {
  readonly name: string;
  readonly listen: string;
  readonly memory?: string;
  readonly vf: readonly string[];
  readonly net: readonly string[];
  readonly vif: readonly string[];
  readonly plugin: readonly string[];
  readonly linkSpeed?: string;
  readonly mtu?: string;
  readonly tcs?: string;
  readonly iommu?: string;
  readonly console?: boolean;
}

export function receiveCommand(): Command {
  return withInterruptOptions(new Command('receive'))
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
    )
    .option('--plugin <folder>', 'a further plugin that a source may use (repeatable)', repeatable, [])
    .option('--link-speed <mbps>', 'speed of the ports, Mb/s; 0 = unlimited')
    .option('--mtu <bytes>', 'longest packet of the ports, 1500 to 9710 (1500)')
    .option('--tcs <n>', "traffic classes of the ports: 2 give a stock driver's VF two receive queues (1)")
    .option(...IOMMU_OPTION)
    .option('--console', "this terminal is the guest's (Linux guests): Ctrl-A x ends")
    .option('--no-console', "do not print the guest's console")
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
        linkSpeedMbps: linkSpeed(options.linkSpeed),
        mtu: portMtu(options.mtu),
        trafficClasses: portClasses(options.tcs),
        iommu: options.iommu,
        interrupts: options,
        plugins: options.plugin,
        begin: async ({ migrations }) =>
          `listening on ${await migrations.listen(options.listen, vfs, maxRamBytes, nets, vifs)}`,
      });
    });
}
