/**
 * Guest images on disk: a folder with a manifest, image.json, beside the component it names.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

const KINDS = ['component', 'rv64-linux'] as const;
export type ImageKind = (typeof KINDS)[number];

export interface ImageManifest {
  readonly name: string;
  readonly description: string;
  /** A WebAssembly component, or a riscv64 Linux with a manifest of its own. */
  readonly kind: ImageKind;
  /** Absolute path of the component, or of that manifest. */
  readonly component: string;
  /** What the guest gets when the user gives no --append. */
  readonly commandLine: string;
  /** Default RAM, as an option value: "16M". */
  readonly memory: string;
}

/** A folder that is no image, or an image whose manifest is wrong. */
export class ImageManifestError extends Error {
  override readonly name = 'ImageManifestError';
}

/**
 * A folder with image.json, or a component file by itself (its name is the file's, no command line, 16 MiB).
 * @throws ImageManifestError
 */
export function readImage(path: string): ImageManifest {
  const at = resolve(path);
  const stat = statSync(at, { throwIfNoEntry: false });
  if (!stat)
    throw new ImageManifestError(`${path}: there is no such image; 'srvm images' lists those that ship`);
  if (stat.isFile()) {
    return {
      name: basename(at).replace(/\.wasm$/, ''),
      description: '',
      kind: 'component',
      component: at,
      commandLine: '',
      memory: '16M',
    };
  }
  const file = join(at, 'image.json');
  if (!existsSync(file)) throw new ImageManifestError(`${path}: no image: the folder has no image.json`);
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new ImageManifestError(`${file} is no JSON: ${(error as Error).message}`);
  }
  const text = (key: string, fallback?: string): string => {
    const value = fields[key] ?? fallback;
    if (typeof value !== 'string') throw new ImageManifestError(`${file}: '${key}' must be a string`);
    return value;
  };
  const component = join(at, text('component'));
  const kind = KINDS.find((known) => known === text('kind', 'component'));
  if (kind === undefined) throw new ImageManifestError(`${file}: 'kind' must be one of ${KINDS.join(', ')}`);
  return {
    name: text('name'),
    description: text('description', ''),
    kind,
    component,
    commandLine: text('commandLine', ''),
    memory: text('memory', '16M'),
  };
}

/** Every image below a folder, by name. */
export function listImages(folder: string): ImageManifest[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'image.json')))
    .map((entry) => readImage(join(folder, entry.name)))
    .sort((a, b) => a.name.localeCompare(b.name));
}
