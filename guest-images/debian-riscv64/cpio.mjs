// Writes an uncompressed newc archive, the form of initramfs that costs the guest least to unpack. Times are zero and
// inode numbers count up, so that equal contents give equal bytes.
const MODE = { file: 0o100000, folder: 0o040000, link: 0o120000, charDevice: 0o020000 };
const HEADER_BYTES = 110;

const align = (length) => (4 - (length % 4)) % 4;
const hex = (value) => value.toString(16).padStart(8, '0').toUpperCase();

function entryBytes({ name, mode, content, links = 1, rdev = [0, 0] }, inode) {
  const nameBytes = Buffer.from(`${name}\0`);
  const fields = [
    inode,
    mode,
    0, // uid
    0, // gid
    links,
    0, // mtime
    content.length,
    0,
    0, // device
    ...rdev,
    nameBytes.length,
    0, // checksum: none in newc
  ];
  return [
    Buffer.from(`070701${fields.map(hex).join('')}`),
    nameBytes,
    Buffer.alloc(align(HEADER_BYTES + nameBytes.length)),
    content,
    Buffer.alloc(align(content.length)),
  ];
}

/** Collects a tree and writes it; folders on the way to an entry are added by themselves. */
export class CpioArchive {
  #entries = new Map();

  file(path, content, permissions = 0o644) {
    this.#add(path, { mode: MODE.file | permissions, content });
  }

  link(path, target) {
    this.#add(path, { mode: MODE.link | 0o777, content: Buffer.from(target) });
  }

  folder(path, permissions = 0o755) {
    this.#add(path, { mode: MODE.folder | permissions, content: Buffer.alloc(0), links: 2 });
  }

  charDevice(path, major, minor, permissions = 0o600) {
    this.#add(path, { mode: MODE.charDevice | permissions, content: Buffer.alloc(0), rdev: [major, minor] });
  }

  has(path) {
    return this.#entries.has(path);
  }

  #add(path, entry) {
    const parent = path.slice(0, Math.max(path.lastIndexOf('/'), 0));
    if (parent !== '' && !this.#entries.has(parent)) this.folder(parent);
    this.#entries.set(path, entry);
  }

  /** The archive's bytes. */
  bytes() {
    const parts = [];
    let inode = 1;
    for (const [name, entry] of this.#entries) parts.push(...entryBytes({ name, ...entry }, inode++));
    parts.push(...entryBytes({ name: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) }, 0));
    const archive = Buffer.concat(parts);
    return Buffer.concat([archive, Buffer.alloc((512 - (archive.length % 512)) % 512)]);
  }
}
