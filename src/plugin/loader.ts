/**
 * Finds a plugin and checks it before anything of it runs in a migration.
 *
 *   folder          its package.json: "srvm": { "plugin": "./path.js" }, or else "main"
 *   package name    the same, where Node finds the package
 *
 * The module's default export is the definition.
 */
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  HOST_FEATURES,
  type OptionSpec,
  PLUGIN_API_VERSION,
  type PluginClaims,
  type PluginDefinition,
} from './definition.js';
import { PluginLoadError, PluginOptionError } from './errors.js';

export interface LoadedPlugin {
  readonly definition: PluginDefinition;
  /** Folder or package it came from, as the user named it. */
  readonly source: string;
  /** The module file. */
  readonly path: string;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const VERSION = /^\d+\.\d+\.\d+$/;
const VARIANT = /^[a-z0-9][a-z0-9-]{0,31}$/;
const CLAIMS: Readonly<Record<keyof PluginClaims, 'boolean' | 'string'>> = {
  tracksEveryPage: 'boolean',
  marksAtPauseOnly: 'boolean',
  mayLosePackets: 'boolean',
  mayDuplicatePackets: 'boolean',
  mayReorderPackets: 'boolean',
  needsGuestHelp: 'boolean',
  guestVariant: 'string',
};
const METHODS = ['createTracker', 'saveDevice', 'restoreDevice', 'rollbackDevice'] as const;
const MAX_OPTION_CHARS = 256;

/** @param source a folder, or a package's name. @param from where package names are looked up. */
export async function loadPlugin(source: string, from: string = process.cwd()): Promise<LoadedPlugin> {
  const path = modulePath(source, from);
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(path).href);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PluginLoadError(`plugin ${source}: ${path} cannot be loaded: ${why}`, { cause });
  }
  return { definition: checkDefinition(source, module.default), source, path };
}

function modulePath(source: string, from: string): string {
  const folder = resolve(from, source);
  const asFolder = statSync(folder, { throwIfNoEntry: false });
  if (asFolder?.isDirectory()) return entryOf(source, join(folder, 'package.json'));
  if (asFolder !== undefined)
    throw new PluginLoadError(`plugin ${source}: ${folder} is a file; name its folder`);
  if (source.startsWith('.') || source.startsWith('/')) {
    throw new PluginLoadError(`plugin ${source}: there is no folder ${folder}`);
  }
  const require = createRequire(join(resolve(from), 'noop.js'));
  try {
    return entryOf(source, require.resolve(`${source}/package.json`));
  } catch (cause) {
    if (cause instanceof PluginLoadError) throw cause;
    throw new PluginLoadError(`plugin ${source}: neither a folder nor an installed package of that name`, {
      cause,
    });
  }
}

function entryOf(source: string, manifestPath: string): string {
  let manifest: { main?: unknown; srvm?: { plugin?: unknown } };
  try {
    manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
  } catch (cause) {
    throw new PluginLoadError(`plugin ${source}: ${manifestPath} cannot be read as JSON`, { cause });
  }
  const entry = manifest.srvm?.plugin ?? manifest.main;
  if (typeof entry !== 'string') {
    throw new PluginLoadError(
      `plugin ${source}: ${manifestPath} has neither "srvm": {"plugin": ...} nor "main"`,
    );
  }
  const path = resolve(dirname(manifestPath), entry);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new PluginLoadError(
      `plugin ${source}: ${manifestPath} points to ${path}, which does not exist (built?)`,
    );
  }
  return path;
}

/** Checks by hand what the types promise: a plugin may be plain JavaScript. */
export function checkDefinition(source: string, value: unknown): PluginDefinition {
  const refuse = (why: string): never => {
    throw new PluginLoadError(`plugin ${source}: ${why}`);
  };
  if (typeof value !== 'object' || value === null)
    refuse('its default export is no definition: use definePlugin()');
  const definition = value as PluginDefinition;
  if (definition.apiVersion !== PLUGIN_API_VERSION) {
    refuse(
      `it is written for API version ${definition.apiVersion}; this VMM has version ${PLUGIN_API_VERSION}`,
    );
  }
  if (!NAME.test(String(definition.name)))
    refuse(`its name ${JSON.stringify(definition.name)} is not ${NAME.source}`);
  if (!VERSION.test(String(definition.version))) refuse('its version is not major.minor.patch');
  for (const method of METHODS) {
    if (typeof definition[method] !== 'function') refuse(`it has no method ${method}`);
  }
  for (const [name, spec] of Object.entries(definition.options ?? {})) checkOption(source, name, spec);
  checkClaims(source, definition.claims ?? {});
  for (const feature of definition.requires ?? []) {
    if (!HOST_FEATURES.includes(feature))
      refuse(`it requires '${feature}': a host can have ${HOST_FEATURES.join(', ')}`);
  }
  return definition;
}

/** A misspelt claim would be one that is not made, and nobody would notice. */
function checkClaims(source: string, claims: PluginClaims): void {
  for (const [name, value] of Object.entries(claims)) {
    const type = CLAIMS[name as keyof PluginClaims];
    if (typeof value === type) continue;
    const known = Object.keys(CLAIMS).join(', ');
    throw new PluginLoadError(
      type === undefined
        ? `plugin ${source}: there is no claim ${name} (there are: ${known})`
        : `plugin ${source}: its claim ${name} is no ${type}`,
    );
  }
  const { guestVariant } = claims;
  if (guestVariant === undefined) return;
  if (!VARIANT.test(guestVariant))
    throw new PluginLoadError(
      `plugin ${source}: its guestVariant ${JSON.stringify(guestVariant)} is not ${VARIANT.source}`,
    );
  if (claims.needsGuestHelp === false)
    throw new PluginLoadError(
      `plugin ${source}: it names a guestVariant and claims to need no help of the guest`,
    );
}

function checkOption(source: string, name: string, spec: OptionSpec): void {
  if (typeof spec?.default !== 'string' || (spec.values && !spec.values.includes(spec.default))) {
    throw new PluginLoadError(`plugin ${source}: option ${name} has no default among its values`);
  }
}

/** Completes what the user gave with the defaults; refuses what the plugin does not know. */
export function resolveOptions(
  definition: PluginDefinition,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const specs = definition.options ?? {};
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(specs, name)) continue;
    const known = Object.keys(specs).join(', ') || 'none';
    throw new PluginOptionError(`plugin ${definition.name} has no option ${name} (it has: ${known})`);
  }
  const options: Record<string, string> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = given[name] ?? spec.default;
    if (spec.values && !spec.values.includes(value)) {
      throw new PluginOptionError(
        `plugin ${definition.name}: ${name}=${value}: one of ${spec.values.join(', ')}`,
      );
    }
    if (value.length > MAX_OPTION_CHARS) {
      throw new PluginOptionError(
        `plugin ${definition.name}: ${name} has more than ${MAX_OPTION_CHARS} characters`,
      );
    }
    options[name] = value;
  }
  return options;
}
