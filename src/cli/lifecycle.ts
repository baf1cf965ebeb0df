/** `srvm stop | cont | quit VM`: the plain lifecycle commands. */
import type { Command } from 'commander';
import { vmCommand } from './output.js';

export const stopCommand = (): Command =>
  vmCommand('stop', 'pause a VM', 'srvm stop a', async (client) => {
    await client.execute('stop');
  });

export const contCommand = (): Command =>
  vmCommand('cont', 'let a paused VM go on', 'srvm cont a', async (client) => {
    await client.execute('cont');
  });

export const quitCommand = (): Command =>
  vmCommand('quit', 'end a VM and its process', 'srvm quit a', async (client) => {
    await client.execute('quit');
  });
