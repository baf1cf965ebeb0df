// Reads what the image needs to know of 64-bit little-endian ELF files: the libraries and the loader that a program asks
// for, and a kernel module's own description.
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

export function isElf64(bytes) {
  return bytes.length >= 64 && bytes.readUInt32BE(0) === 0x7f454c46 && bytes[4] === 2 && bytes[5] === 1;
}

const textAt = (bytes, offset) => bytes.toString('latin1', offset, bytes.indexOf(0, offset));

function programHeaders(bytes) {
  const [first, size, count] = [
    Number(bytes.readBigUInt64LE(32)),
    bytes.readUInt16LE(54),
    bytes.readUInt16LE(56),
  ];
  return Array.from({ length: count }, (_, i) => {
    const at = first + i * size;
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      address: Number(bytes.readBigUInt64LE(at + 16)),
      bytes: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

/** { interpreter: path or null, needed: [soname] } of a program or a shared library. */
export function dynamicNeeds(bytes) {
  const headers = programHeaders(bytes);
  const interp = headers.find(({ type }) => type === PT_INTERP);
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  const interpreter = interp ? textAt(bytes, interp.offset) : null;
  if (!dynamic) return { interpreter, needed: [] };
  const entries = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    entries.push([bytes.readBigUInt64LE(at), bytes.readBigUInt64LE(at + 8)]);
  }
  const table = Number(entries.find(([tag]) => tag === DT_STRTAB)[1]);
  const holder = headers.find(
    ({ type, address, bytes: length }) => type === 1 && address <= table && table < address + length,
  );
  const strings = holder.offset + table - holder.address;
  return {
    interpreter,
    needed: entries
      .filter(([tag]) => tag === DT_NEEDED)
      .map(([, name]) => textAt(bytes, strings + Number(name))),
  };
}

/** Names of the modules that a kernel module depends on, from its .modinfo section. */
export function moduleDependencies(bytes) {
  const [first, size, count] = [
    Number(bytes.readBigUInt64LE(40)),
    bytes.readUInt16LE(58),
    bytes.readUInt16LE(60),
  ];
  const section = (i) => {
    const at = first + i * size;
    return {
      name: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      length: Number(bytes.readBigUInt64LE(at + 32)),
    };
  };
  const names = section(bytes.readUInt16LE(62)).offset;
  for (let i = 0; i < count; i++) {
    const { name, offset, length } = section(i);
    if (textAt(bytes, names + name) !== '.modinfo') continue;
    const fields = bytes.toString('latin1', offset, offset + length).split('\0');
    const depends = fields.find((field) => field.startsWith('depends=')) ?? 'depends=';
    return depends.slice('depends='.length).split(',').filter(Boolean);
  }
  return [];
}
