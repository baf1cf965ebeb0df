/**
 * An image build as one file: what the cache keeps.
 *
 *   magic (8) | header length, u32 LE | header, JSON | blobs, one after the other | SHA-256 of all before (32)
 *
 * A file that is not exactly this decodes to null: a cache entry is rebuilt, never trusted half.
 */
import { createHash } from 'node:crypto';
import type { ImageBuild } from './loaded-image.js';

const MAGIC = Buffer.from('SRVMIMG1', 'latin1');
const HASH_BYTES = 32;

interface EntryHeader {
  readonly ramBytes: number;
  readonly mainModule: string;
  readonly initialPages: number;
  readonly maxPages: number;
  readonly globalTypes: readonly number[];
  readonly dataOffsets: readonly number[];
  readonly shimNames: readonly string[];
  /** jcoSource, plainWasm, logWasm, data segments, shim modules. */
  readonly blobBytes: readonly number[];
}

export function encodeEntry(build: ImageBuild): Uint8Array {
  const shims = Object.entries(build.shimModules);
  const blobs = [
    Buffer.from(build.jcoSource, 'utf8'),
    build.plainWasm,
    build.logWasm,
    ...build.dataSegments.map((segment) => segment.bytes),
    ...shims.map(([, bytes]) => bytes),
  ];
  const header: EntryHeader = {
    ramBytes: build.ramBytes,
    mainModule: build.mainModule,
    initialPages: build.initialPages,
    maxPages: build.maxPages,
    globalTypes: build.globalTypes,
    dataOffsets: build.dataSegments.map((segment) => segment.offset),
    shimNames: shims.map(([name]) => name),
    blobBytes: blobs.map((blob) => blob.length),
  };
  const headerBytes = Buffer.from(JSON.stringify(header), 'utf8');
  const headerLength = Buffer.alloc(4);
  headerLength.writeUInt32LE(headerBytes.length);
  const content = Buffer.concat([MAGIC, headerLength, headerBytes, ...blobs]);
  return Buffer.concat([content, createHash('sha256').update(content).digest()]);
}

/** Null when the bytes are not a whole, unchanged entry. */
export function decodeEntry(bytes: Uint8Array): ImageBuild | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const contentBytes = file.length - HASH_BYTES;
  if (contentBytes < MAGIC.length + 4 || !file.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const content = file.subarray(0, contentBytes);
  // with the hash right, the rest is what encodeEntry wrote
  if (!createHash('sha256').update(content).digest().equals(file.subarray(contentBytes))) return null;
  const headerStart = MAGIC.length + 4;
  const headerEnd = headerStart + content.readUInt32LE(MAGIC.length);
  const header = JSON.parse(content.toString('utf8', headerStart, headerEnd)) as EntryHeader;
  let at = headerEnd;
  // copies: a view would keep the whole file alive, and be cloned whole to every worker
  const blobs = header.blobBytes.map((length) => new Uint8Array(content.subarray(at, (at += length))));
  const [jcoSource, plainWasm, logWasm, ...rest] = blobs;
  return {
    ramBytes: header.ramBytes,
    jcoSource: Buffer.from(jcoSource).toString('utf8'),
    mainModule: header.mainModule,
    plainWasm,
    logWasm,
    initialPages: header.initialPages,
    maxPages: header.maxPages,
    globalTypes: header.globalTypes,
    dataSegments: header.dataOffsets.map((offset, i) => ({ offset, bytes: rest[i] })),
    shimModules: Object.fromEntries(
      header.shimNames.map((name, i) => [name, rest[header.dataOffsets.length + i]]),
    ),
  };
}
