#!/usr/bin/env node
/**
 * The `srvm` command. One file per subcommand; this one only gathers them and turns any error into one clear line
 * and a non-zero exit status.
 */
import { Command, CommanderError } from 'commander';
import { benchCommand } from './bench.js';
import { cancelCommand } from './cancel.js';
import { compareCommand } from './compare.js';
import { demoCommand } from './demo.js';
import { demoLinuxCommand } from './demo-linux.js';
import { imagesCommand } from './images.js';
import { infoCommand } from './info.js';
import { contCommand, quitCommand, stopCommand } from './lifecycle.js';
import { linkCommand } from './link.js';
import { migrateCommand } from './migrate.js';
import { plugCommand, unplugCommand } from './plug.js';
import { pluginsCommand } from './plugins.js';
import { receiveCommand } from './receive.js';
import { reproduceCommand } from './reproduce.js';
import { runCommand } from './run.js';
import { simulateCommand } from './simulate.js';
import { statsCommand } from './stats.js';
import { switchCommand } from './switch.js';
import { vifCommand } from './vif.js';

function program(): Command {
  const srvm = new Command('srvm')
    .description('A small VMM that live-migrates unmodified guests with a passed-through SR-IOV VF')
    .showHelpAfterError('(srvm COMMAND --help shows an example)')
    .exitOverride();
  for (const make of [
    imagesCommand,
    switchCommand,
    runCommand,
    receiveCommand,
    migrateCommand,
    infoCommand,
    statsCommand,
    cancelCommand,
    stopCommand,
    contCommand,
    quitCommand,
    linkCommand,
    unplugCommand,
    plugCommand,
    vifCommand,
    pluginsCommand,
    simulateCommand,
    benchCommand,
    compareCommand,
    reproduceCommand,
    demoCommand,
    demoLinuxCommand,
  ]) {
    srvm.addCommand(make().exitOverride());
  }
  return srvm;
}

// a reader that has seen enough (`srvm ... | head`) ends the command, as it would any other
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

try {
  await program().parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has printed its own line
    process.exitCode = error.exitCode;
  } else {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`srvm: ${message}\n`);
    if (process.env['SRVM_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  }
}
