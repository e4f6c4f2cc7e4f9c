/** Reads the names of the libraries that a Linux library needs. Only the few parts of the file that say so are read. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Types of segments and tags of the dynamic section, by the ELF specification. */
const segment = { load: 1, dynamic: 2 };
const tag = { needed: 1, strings: 5, stringsSize: 10 };

interface Segment {
  type: number;
  offset: number;
  address: number;
  size: number;
}

/** The entries NEEDED of a 64-bit little-endian ELF file, in order; null for any other file. */
export function neededLibraries(path: string): string[] | null {
  const file = openSync(path, "r");
  const length = fstatSync(file).size;
  const read = (offset: number, size: number) => {
    const bytes = Buffer.alloc(Math.max(0, Math.min(size, length - offset))); // a damaged file may say any size
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, offset));
  };
  const number = (bytes: Buffer, at: number) => Number(bytes.readBigUInt64LE(at));
  try {
    const header = read(0, 64);
    // Magic number, class 2 (64 bits), data 1 (little-endian).
    if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return null;
    const [entrySize, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
    const table = read(number(header, 32), entrySize * count);
    const segments = Array.from({ length: count }, (_, i): Segment => {
      const entry = table.subarray(i * entrySize);
      return { type: entry.readUInt32LE(0), offset: number(entry, 8), address: number(entry, 16), size: number(entry, 32) };
    });
    const dynamic = segments.find(({ type }) => type === segment.dynamic);
    if (!dynamic) return [];
    const section = read(dynamic.offset, dynamic.size);
    const entries = Array.from({ length: Math.floor(section.length / 16) }, (_, i) => ({
      tag: number(section, i * 16),
      value: number(section, i * 16 + 8),
    }));
    const first = (wanted: number) => entries.find((entry) => entry.tag === wanted)?.value ?? 0;
    const address = first(tag.strings);
    const holder = segments.find(
      ({ type, address: from, size }) => type === segment.load && from <= address && address < from + size,
    );
    if (!holder) return [];
    const strings = read(holder.offset + address - holder.address, first(tag.stringsSize));
    return entries
      .filter((entry) => entry.tag === tag.needed)
      .map(({ value }) => strings.toString("latin1", value, strings.indexOf(0, value)));
  } catch (error) {
    if (error instanceof RangeError) return null; // cut off
    throw error;
  } finally {
    closeSync(file);
  }
}
