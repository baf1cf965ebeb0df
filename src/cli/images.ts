/** `srvm images`: what can be run. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { listImages } from '../control/images.js';
import { PACKAGE_ROOT } from '../control/package-root.js';
import { printJson, printTable } from './output.js';

export function imagesCommand(): Command {
  return new Command('images')
    .description('list the guest images that can be run')
    .argument('[folder]', 'where images are', join(PACKAGE_ROOT, 'guest-images'))
    .option('--json', 'print JSON', false)
    .addHelpText('after', '\nExample:\n  srvm images')
    .action((folder: string, options: { json: boolean }) => {
      const images = listImages(folder);
      if (options.json) {
        printJson(images);
        return;
      }
      printTable(
        ['image', 'memory', 'built', 'what it is'],
        images.map((image) => [
          `guest-images/${image.name}`,
          image.memory,
          existsSync(image.component)
            ? 'yes'
            : `no (npm run ${image.kind === 'component' ? 'images' : `image:${image.name}`})`,
          image.description,
        ]),
      );
    });
}
