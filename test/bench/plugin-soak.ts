/**
 * One plugin, again and again: a guest under echo load goes to and fro between two processes, every hop verified.
 *
 *   probe == switch == process A  --hop, verify, compare-->  process B  --hop--> ...
 *
 * What a hop must be: completed, no page different, no page that DMA wrote missed (unless the plugin claims that it may
 * miss some), and at the probe nothing corrupt, doubled or out of order beyond the plugin's claims. What the peer lost is
 * counted: frames that reach the source's port after its VF has stopped are lost whatever the method.
 */
import type { VmmMigrationReport } from '../../src/control/vmm-migration.js';
import { EchoProbe, type EchoProbeReport } from '../../src/measure/load/echo-probe.js';
import { claimsOf, type FullClaims } from '../../src/plugin/definition.js';
import { loadPlugin } from '../../src/plugin/loader.js';
import { GUEST_IP, repliesGoOn, Shuttle } from '../scenarios/shuttle.js';

export interface SoakOptions {
  /** Folder, relative to the repository. */
  readonly plugin: string;
  readonly pluginOptions: Readonly<Record<string, string>>;
  /** guest-images/udp-echo, or its variant that the plugin claims to need, when left out. */
  readonly image?: string;
  readonly memory: string;
  readonly hops: number;
  readonly rateHz: number;
  readonly payloadBytes: number;
  /** Further arguments of both processes, and of the one that boots the guest. */
  readonly both?: readonly string[];
  readonly run?: readonly string[];
  readonly onHop?: (hop: number, report: VmmMigrationReport, problems: readonly string[]) => void;
}

export interface SoakReport {
  readonly plugin: string;
  readonly image: string;
  readonly completed: number;
  readonly problems: readonly string[];
  readonly probe: EchoProbeReport;
  readonly hops: readonly VmmMigrationReport[];
}

const ECHO = 'guest-images/udp-echo';
/** With the last hop over, what is under way still arrives. */
const SETTLE_MS = 1500;

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { plugin, hops } = options;
  const { definition } = await loadPlugin(plugin);
  const claims = claimsOf(definition);
  const variant = claims.guestVariant === null ? ECHO : `${ECHO}-${claims.guestVariant}`;
  const image = options.image ?? variant;
  const dirtyBits = definition.requires?.includes('iommu-dirty-bits') === true;
  // without its VF a guest wants another way to the network
  const needsStandby = definition.requires?.includes('pci-hotplug') === true;
  // such a device is one that virtualises itself
  const isAssisted = definition.requires?.includes('migration-assist') === true;
  const shuttle = await Shuttle.open({
    image,
    devices: isAssisted ? ['vif'] : needsStandby ? ['vf', 'net'] : ['vf'],
    ...(isAssisted ? { vifCores: 2 } : {}),
    memory: options.memory,
    plugins: [plugin],
    both: [...(dirtyBits ? ['--iommu', 'dirty-bits=on'] : []), ...(options.both ?? [])],
    run: options.run ?? [],
  });
  const problems: string[] = [];
  const reports: VmmMigrationReport[] = [];
  try {
    const probe = new EchoProbe({
      peer: shuttle.station,
      targetIp: GUEST_IP,
      rateHz: options.rateHz,
      payloadBytes: options.payloadBytes,
    });
    probe.start();
    await repliesGoOn(probe);
    for (let hop = 1; hop <= hops; hop++) {
      const report = (await shuttle.hop({
        plugin,
        pluginOptions: options.pluginOptions,
      })) as VmmMigrationReport;
      reports.push(report);
      await repliesGoOn(probe);
      const found = problemsOf(claims, report);
      problems.push(...found.map((problem) => `hop ${hop}: ${problem}`));
      options.onHop?.(hop, report, found);
    }
    probe.stop();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const seen = probe.report();
    problems.push(...problemsAtThePeer(claims, seen));
    return { plugin, image, completed: reports.length, problems, probe: seen, hops: reports };
  } catch (error) {
    throw new Error(`${plugin}, hop ${reports.length + 1}: ${(error as Error).message}\n${shuttle.logs()}`, {
      cause: error,
    });
  } finally {
    await shuttle.close();
  }
}

function problemsOf(claims: FullClaims, { verdict, dmaCoverage, notes }: VmmMigrationReport): string[] {
  if (verdict === null || dmaCoverage === null) return ['nothing was verified'];
  const problems: string[] = [];
  if (claims.needsGuestHelp && dmaCoverage.pagesInNoLog > 0)
    problems.push(`${dmaCoverage.pagesInNoLog} pages that DMA wrote are in no log`);
  if (!claims.tracksEveryPage) return problems;
  if (verdict.pagesDiffering > 0)
    problems.push(`${verdict.pagesDiffering} pages differ (notes: ${notes.join('; ')})`);
  if (dmaCoverage.pagesMissed > 0)
    problems.push(`${dmaCoverage.pagesMissed} pages missed: ${dmaCoverage.missed.join(', ')}`);
  return problems;
}

function problemsAtThePeer(claims: FullClaims, probe: EchoProbeReport): string[] {
  const problems: string[] = [];
  if (probe.corrupt > 0) problems.push(`${probe.corrupt} replies were corrupt`);
  if (probe.duplicates > 0 && !claims.mayDuplicatePackets)
    problems.push(`${probe.duplicates} replies came more than once`);
  if (probe.reordered > 0 && !claims.mayReorderPackets)
    problems.push(`${probe.reordered} replies came out of order`);
  return problems;
}
