/** `srvm unplug | plug VM SLOT`: takes a function away from a guest that lets go of it, and brings it back. */
import { Command } from 'commander';
import { parseWhole } from './options.js';
import { connectVm } from './output.js';

const MAX_SLOT = 31;

const plugging = (name: string, description: string, command: string): Command =>
  new Command(name)
    .description(description)
    .argument('<vm>', 'name of a running VM')
    .argument('<slot>', "of the VM's bus: VFs from 1 on, then paravirtual NICs")
    .addHelpText('after', `\nExample:\n  srvm ${name} a 1`)
    .action(async (vm: string, slot: string) => {
      const client = await connectVm(vm);
      try {
        await client.execute(command, { slot: parseWhole(slot, 'slot', 1, MAX_SLOT) });
      } finally {
        client.close();
      }
    });

export const unplugCommand = (): Command =>
  plugging(
    'unplug',
    'take a VF or NIC away, when the guest has let go of it (PCI hot-plug)',
    'x-srvm-unplug',
  );

export const plugCommand = (): Command => plugging('plug', 'bring it back', 'x-srvm-plug');
