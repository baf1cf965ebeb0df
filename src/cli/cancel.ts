/** `srvm cancel VM`: gives up a running migration; the source goes on. */
import type { Command } from 'commander';
import { vmCommand } from './output.js';

export const cancelCommand = (): Command =>
  vmCommand('cancel', "cancel a VM's migration: the source goes on", 'srvm cancel a', async (client) => {
    await client.execute('migrate_cancel');
  });
