/**
 * `srvm simulate`: whole migrations from seeds, in virtual time, every promise checked.
 */
import { Command } from 'commander';
import { FAULT_KINDS } from '../simulation/world/fault-plan.js';
import { orderOf, type SimulateOptions } from './simulate-options.js';

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('run whole migrations from seeds, in virtual time and with faults, and check every promise')
    .option('--seed <n>', 'one run')
    .option('--seeds <a..b>', 'many runs, over all cores')
    .option('--minutes <n>', 'begin no seed after so many minutes')
    .option('--plugin <folder>', 'migration plugin: its folder or package name', 'plugins/srvm')
    .option('--mode <mode>', "the plugin's option `mode`; the seed's choice when left out")
    .option(
      '--image <name>',
      "the guest: scripted (it drives its VF meanly), or a built image's name",
      'scripted',
    )
    .option('--faults <kinds>', `all, none, or some of ${FAULT_KINDS.join(',')}`, 'all')
    .option('--fault-plan <file>', "a fault schedule in place of the seed's own (as --shrink writes it)")
    .option('--shrink', 'find the shortest fault schedule that still fails', false)
    .option('--trace <file>', 'write every event as a trace that Perfetto opens')
    .option(
      '--figures',
      'measure what steps cost here; print the extra core and the downtime in virtual time',
      false,
    )
    .option('--cores <n>', 'with --figures: how many cores the simulated host has', '4')
    .option('--workers <n>', 'threads that run seeds (default: one per core)')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n  srvm simulate --plugin my-tracker\n  srvm simulate --seeds 1..1000 --faults net,crash\n' +
        '  srvm simulate --seed 42 --mode scan --trace out.json\n  srvm simulate --seed 42 --shrink\n  srvm simulate --figures --cores 8',
    )
    .action(async (options: SimulateOptions) => {
      const order = orderOf(options);
      // the simulator is large: other commands start without it
      const { carryOut } = await import('./simulate-run.js');
      const passed = await carryOut(order, options);
      if (!passed) process.exitCode = 1;
    });
}
