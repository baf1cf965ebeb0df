/**
 * The key of an image's builds: a hash of everything they depend on. Reads the tools' versions from their package
 * files; loading the tools to ask them would cost half a second.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { layoutFor } from '../machine/layout.js';
import { findPackageJSON } from './find-package.js';
import { REWRITER_VERSION } from './rewriter-version.js';

const TOOLS = ['@bytecodealliance/jco-transpile', 'binaryen'];

let toolVersions: string | null = null;

/** SHA-256, hex. */
export function imageKey(component: Uint8Array, ramBytes: number): string {
  toolVersions ??= TOOLS.map((name) => `${name}@${versionOf(name)}`).join(' ');
  const content = createHash('sha256').update(component).digest('hex');
  return createHash('sha256')
    .update(`component ${content}\nrewriter ${REWRITER_VERSION}\ntools ${toolVersions}\n`)
    .update(`layout ${JSON.stringify(layoutFor(ramBytes))}\n`)
    .digest('hex');
}

function versionOf(packageName: string): string {
  const parsed = JSON.parse(readFileSync(findPackageJSON(packageName), 'utf8')) as { version: string };
  return parsed.version;
}
