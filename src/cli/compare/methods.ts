/**
 * The methods that can be compared, as the user names them:
 *
 *   srvm:scan       plugins/srvm with its option mode=scan
 *   freeze-walk     plugins/freeze-walk with its defaults
 *   ../my:fast      a folder of your own
 *   virtio          no plugin: the guest has a paravirtual NIC only
 *   all             every plugin that ships, in each of its modes, and virtio
 *
 * A method whose guest must carry a driver of its own runs the image's variant of that name: udp-echo-compsc.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageManifest, readImage } from '../../control/images.js';
import { PACKAGE_ROOT, resolveShipped } from '../../control/package-root.js';
import { PluginCatalog } from '../../control/plugin-catalog.js';
import { claimsOf, type FullClaims, type PluginDefinition } from '../../plugin/definition.js';
import { OptionError } from '../options.js';

export interface Method {
  /** As the user wrote it. */
  readonly name: string;
  /** Folder or package; null: nothing is passed through. */
  readonly plugin: string | null;
  readonly options: Readonly<Record<string, string>>;
  readonly claims: FullClaims;
  /** The guest's interfaces, in the order of their slots: what a run's options call them. */
  readonly devices: readonly ('vf' | 'net' | 'vif')[];
  /** The IOMMU of both hosts has dirty bits. */
  readonly iommuDirtyBits: boolean;
  /** Folder of the image that its guest runs. */
  readonly imageFolder: string;
  readonly image: ImageManifest;
}

export const PARAVIRTUAL = 'virtio';
const ALL = 'all';

/** @throws OptionError for a method or an image variant that is not there. */
export async function findMethods(list: string, image: string): Promise<Method[]> {
  const methods: Method[] = [];
  for (const name of list.split(',').map((each) => each.trim())) {
    if (name === ALL) methods.push(...(await shippedMethods(image)));
    else methods.push(await findMethod(name, image));
  }
  return methods;
}

async function findMethod(name: string, image: string): Promise<Method> {
  if (name === PARAVIRTUAL) {
    return {
      name,
      plugin: null,
      options: {},
      claims: claimsOf({}),
      devices: ['net'],
      iommuDirtyBits: false,
      ...variantOf(name, image, PARAVIRTUAL),
    };
  }
  const [source = '', mode] = name.split(':');
  const shipped = join('plugins', source);
  const plugin = existsSync(join(PACKAGE_ROOT, shipped)) ? shipped : source;
  const { definition } = await PluginCatalog.load(plugin);
  const modes = definition.options?.['mode']?.values ?? [];
  if (mode !== undefined && !modes.includes(mode)) {
    const known = modes.length === 0 ? 'it has no modes' : `there are: ${modes.join(', ')}`;
    throw new OptionError(`--methods: ${source} has no mode '${mode}'; ${known}`);
  }
  const claims = claimsOf(definition);
  return {
    name,
    plugin,
    options: mode === undefined ? {} : { mode },
    claims,
    devices: devicesFor(definition),
    iommuDirtyBits: definition.requires?.includes('iommu-dirty-bits') === true,
    ...variantOf(name, image, claims.guestVariant),
  };
}

function devicesFor({ requires = [] }: PluginDefinition): Method['devices'] {
  // without its VF a guest wants another way to the network
  if (requires.includes('pci-hotplug')) return ['vf', 'net'];
  return requires.includes('migration-assist') ? ['vif'] : ['vf'];
}

/** Those that cannot run with this image are left out: `all` means all that can be compared. */
async function shippedMethods(image: string): Promise<Method[]> {
  const folders = readdirSync(join(PACKAGE_ROOT, 'plugins'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  const found: Method[] = [];
  for (const folder of [...folders.sort(), PARAVIRTUAL]) {
    for (const name of await modesOf(folder)) {
      try {
        found.push(await findMethod(name, image));
      } catch (error) {
        process.stderr.write(`left out: ${name}: ${(error as Error).message}\n`);
      }
    }
  }
  return found;
}

async function modesOf(folder: string): Promise<string[]> {
  if (folder === PARAVIRTUAL) return [folder];
  const loaded = await PluginCatalog.load(join('plugins', folder)).catch(() => null);
  const modes = loaded?.definition.options?.['mode']?.values ?? [];
  return modes.length === 0 ? [folder] : modes.map((mode) => `${folder}:${mode}`);
}

function variantOf(
  method: string,
  image: string,
  variant: string | null,
): Pick<Method, 'imageFolder' | 'image'> {
  const imageFolder = variant === null ? image : `${image}-${variant}`;
  const path = resolveShipped(imageFolder);
  if (!existsSync(path)) {
    throw new OptionError(`${method} needs the image ${imageFolder}, which is not there`);
  }
  const manifest = readImage(path);
  if (!existsSync(manifest.component)) {
    throw new OptionError(
      `${method} needs the image ${imageFolder}, which is not built: run 'npm run images'`,
    );
  }
  return { imageFolder, image: manifest };
}
