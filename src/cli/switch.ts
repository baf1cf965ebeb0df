/** `srvm switch`: a learning switch with any number of ports, until it is interrupted. */
import { Command } from 'commander';
import { realClock } from '../hardware/clock.js';
import { LearningSwitch, SOCKET_QUIET_MS } from '../hardware/wire/learning-switch.js';
import { openWire } from '../hardware/wire/open.js';
import { runSwitch } from '../hardware/wire/switch-loop.js';
import { OptionError } from './options.js';
import { repeatable } from './output.js';

interface SwitchOptions {
  readonly name: string;
  readonly port: readonly string[];
  readonly pcap?: string;
}

/** A Unix socket port is the switch's to create: VMMs and peers connect to it. */
export function asServerSpec(spec: string): string {
  return /^unix:/.test(spec) && !spec.endsWith(',server') ? `${spec},server` : spec;
}

export function switchCommand(): Command {
  return new Command('switch')
    .description('a learning switch between VMMs, peers and QEMU')
    .requiredOption(
      '--port <wire>',
      'a port: unix:PATH, tcp:HOST:PORT,server or udp:HOST:PORT (repeatable)',
      repeatable,
      [],
    )
    .option('--name <name>', 'what to call it', 'switch')
    .option('--pcap <file>', 'record the first port as pcapng')
    .addHelpText(
      'after',
      '\nExample:\n  srvm switch --name tor --port unix:p0.sock --port unix:p1.sock --port udp:127.0.0.1:9000',
    )
    .action(async (options: SwitchOptions) => {
      if (options.port.length < 1) throw new OptionError('--port: a switch needs at least one port');
      const fabric = new LearningSwitch({ clock: realClock, moveQuietMs: SOCKET_QUIET_MS });
      for (const [index, spec] of options.port.entries()) {
        const server = asServerSpec(spec);
        const wire = openWire(index === 0 && options.pcap ? `pcap:${options.pcap},${server}` : server);
        await wire.ready;
        fabric.addPort(spec, wire);
      }
      process.stderr.write(
        `srvm: switch '${options.name}' has ${options.port.length} port(s): ${options.port.join(' ')}\n`,
      );
      const loop = runSwitch(fabric);
      await new Promise<void>((resolve) => {
        process.once('SIGINT', () => resolve());
        process.once('SIGTERM', () => resolve());
      });
      await loop.stop();
    });
}
