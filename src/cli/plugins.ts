/** `srvm plugins`: the migration methods that can be used. */
import { relative } from 'node:path';
import { Command } from 'commander';
import { PACKAGE_ROOT } from '../control/package-root.js';
import { PluginCatalog } from '../control/plugin-catalog.js';
import type { FullClaims } from '../plugin/definition.js';
import { printJson, printTable, repeatable } from './output.js';

export function pluginsCommand(): Command {
  return new Command('plugins')
    .description('list the migration plugins')
    .option('--plugin <folder>', 'a further plugin: its folder or package name (repeatable)', repeatable, [])
    .option('--json', 'print JSON', false)
    .addHelpText('after', '\nExample:\n  srvm plugins')
    .action(async (options: { plugin: string[]; json: boolean }) => {
      const plugins = await new PluginCatalog(options.plugin).list();
      if (options.json) {
        printJson(plugins);
        return;
      }
      printTable(
        ['plugin', 'version', 'options', 'claims', 'what it does'],
        plugins.map((plugin) => {
          const shipped = relative(PACKAGE_ROOT, plugin.source);
          const source = shipped.startsWith('..') ? plugin.source : shipped;
          if ('error' in plugin) return [source, '-', '-', '-', plugin.error];
          const options = Object.entries(plugin.options).map(
            ([name, o]) => `${name}=${o.values?.join('|') ?? o.default}`,
          );
          return [source, plugin.version, options.join(' '), claimsText(plugin.claims), plugin.description];
        }),
      );
    });
}

/** What a method needs of the guest, and what it does not promise. */
function claimsText(claims: FullClaims): string {
  const said = [
    claims.guestVariant !== null
      ? `guest: ${claims.guestVariant}`
      : claims.needsGuestHelp
        ? 'needs the guest'
        : 'guest unmodified',
    claims.tracksEveryPage ? null : 'may miss pages',
    claims.marksAtPauseOnly ? 'marks at the pause only' : null,
    claims.mayLosePackets ? 'may lose packets' : null,
    claims.mayDuplicatePackets ? 'may duplicate packets' : null,
    claims.mayReorderPackets ? 'may reorder packets' : null,
  ];
  return said.filter((each) => each !== null).join(', ');
}
