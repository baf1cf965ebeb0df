/** `srvm run IMAGE`: boots a guest image in a VMM process that stays in the foreground. */
import { Command } from 'commander';
import { type ImageKind, readImage } from '../control/images.js';
import { resolveShipped } from '../control/package-root.js';
import { type GuestImage, isLinux } from '../hypervisor/guest-kind.js';
import { MAX_COMPONENT_RAM_BYTES, MAX_RAM_BYTES, MIN_RAM_BYTES, WASM_PAGE_BYTES } from '../machine/layout.js';
import { type HostFlags, hostOf, withHostOptions } from './host-options.js';
import { OptionError, parseNet, parseSize, parseVf, parseVif } from './options.js';
import { repeatable } from './output.js';
import { serveVmm } from './serve.js';

interface RunOptions extends HostFlags {
  readonly name?: string;
  readonly memory?: string;
  readonly append?: string;
  readonly vf: readonly string[];
  readonly net: readonly string[];
  readonly vif: readonly string[];
}

export function runCommand(): Command {
  const command = new Command('run')
    .description('run a guest image')
    .argument('<image>', 'a folder with image.json, or a component file')
    .option('--name <name>', "what to call the VM (the image's name)")
    .option('--memory <size>', "guest RAM, 16M to 1G, of a Linux guest 128M to 2G (the image's default)")
    .option('--append <text>', "the guest's command line (the image's default)")
    .option(
      '--vf <vf>',
      'a VF: mac=MAC,wire=WIRE,vlan=N,max-tx-rate=MBPS,trust=on,pcap=FILE (repeatable)',
      repeatable,
      [],
    )
    .option(
      '--net <net>',
      'a paravirtual NIC (virtio), behind the VFs: mac=MAC,wire=WIRE,pcap=FILE (repeatable)',
      repeatable,
      [],
    )
    .option(
      '--vif <vif>',
      'a virtual interface of a self-virtualizing device: name=NAME,mac=MAC,wire=WIRE,cores=N,rate=MBPS (repeatable)',
      repeatable,
      [],
    );
  return withHostOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  srvm run guest-images/kv-store --name a --memory 256M --vf mac=52:54:00:00:00:01,wire=unix:p0.sock',
    )
    .action(async (path: string, options: RunOptions) => {
      const image = readImage(resolveShipped(path));
      const ramBytes = ramSize(options.memory ?? image.memory, image.kind);
      const vfs = options.vf.map(parseVf);
      const nets = options.net.map(parseNet);
      const vifs = options.vif.map(parseVif);
      await serveVmm({
        name: options.name ?? image.name,
        console: consoleOf(options.console, image.kind === 'rv64-linux'),
        ...hostOf(options),
        begin: async ({ vmm }) => {
          const commandLine = options.append ?? image.commandLine;
          const vm = await vmm.createVm(image, ramBytes, commandLine, vfs, nets, vifs);
          vm.start();
          return `image ${image.name} runs${kernelOf(vm.image)}`;
        },
      });
    });
}

/** What is started of a Linux guest, for comparison with the package: the builder took the hash from there. */
const kernelOf = (image: GuestImage): string =>
  isLinux(image) ? `, kernel of ${image.kernelPackage}, sha256 ${image.kernel.sha256}` : '';

/** Without an option lines are printed; --console asks for the terminal, which components do not have. */
function consoleOf(option: boolean | undefined, hasTerminal: boolean): boolean | 'terminal' {
  if (option === true && hasTerminal) return 'terminal';
  return option ?? true;
}

function ramSize(text: string, kind: ImageKind): number {
  const bytes = parseSize(text, '--memory');
  const [least, most] =
    kind === 'component' ? [MIN_RAM_BYTES, MAX_COMPONENT_RAM_BYTES] : [2 ** 27, MAX_RAM_BYTES];
  if (bytes < least || bytes > most || bytes % WASM_PAGE_BYTES !== 0) {
    const name = (size: number) => `${size / 2 ** 20}M`;
    throw new OptionError(
      `--memory: ${text}: such a guest has ${name(least)} to ${name(most)} of RAM, a multiple of 64K`,
    );
  }
  return bytes;
}
