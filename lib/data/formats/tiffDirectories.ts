/**
 * The directories and tags of a TIFF or BigTIFF. They are walked here, before geotiff reads pixels: geotiff follows a chain of
 * directories that leads back into itself for ever, and allocates what a damaged count asks for.
 */
import { broken } from "./limits.js";

/** Bytes of a value of each type. */
const SIZES: Record<number, number> = {
  1: 1, // BYTE
  2: 1, // ASCII
  3: 2, // SHORT
  4: 4, // LONG
  5: 8, // RATIONAL
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
  13: 4, // IFD
  16: 8, // LONG8
  17: 8,
  18: 8,
};

/** Tags from here on are private; a damaged one does not make the pixels unreadable, except those that geotiff loads. */
const PRIVATE = 32768;
const LOADED = new Set([33550, 33922, 34264, 34735, 34736, 34737, 42113, 50674]);

interface Entry {
  type: number;
  count: number;
  /** Where its values begin in the file. */
  at: number;
}

/** One directory: a page, a smaller copy of one, or a thumbnail. */
export interface Directory {
  offset: number;
  entries: ReadonlyMap<number, Entry>;
}

/** All directories of the chain, in the order of the file, and what is needed to read their tags. */
export class TiffDirectories {
  readonly bigEndian: boolean;
  /** BigTIFF: 8-byte offsets. */
  readonly big: boolean;
  readonly directories: Directory[] = [];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  /** @throws CellsamError ERR_IMAGE_BROKEN when a directory lies outside the file, or the chain does not end */
  constructor(bytes: Uint8Array) {
    const order = bytes.length < 8 ? "" : String.fromCharCode(bytes[0] ?? 0, bytes[1] ?? 0);
    if (order !== "II" && order !== "MM") throw broken("it is not a TIFF file");
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bigEndian = order === "MM";
    const magic = this.#unsigned(2, 2);
    if (magic !== 42 && magic !== 43) throw broken("it is not a TIFF file");
    this.big = magic === 43;
    if (this.big && (bytes.length < 16 || this.#unsigned(4, 2) !== 8)) throw broken("its BigTIFF header is damaged");
    this.#walk(this.big ? this.#unsigned(8, 8) : this.#unsigned(4, 4));
  }

  /** The numbers of a tag; none where it is absent. */
  numbers({ entries }: Directory, tag: number): number[] {
    const entry = entries.get(tag);
    if (!entry) return [];
    const { type, count, at } = entry;
    const size = SIZES[type] ?? 1;
    return Array.from({ length: count }, (_, i) => this.#value(type, at + i * size));
  }

  number(directory: Directory, tag: number, absent: number): number {
    return this.numbers(directory, tag)[0] ?? absent;
  }

  /** How many values a tag has; 0 where it is absent. */
  count({ entries }: Directory, tag: number): number {
    return entries.get(tag)?.count ?? 0;
  }

  /** The bytes of a tag; none where it is absent. */
  bytes({ entries }: Directory, tag: number): Uint8Array {
    const entry = entries.get(tag);
    return entry ? this.#bytes.subarray(entry.at, entry.at + entry.count * (SIZES[entry.type] ?? 1)) : new Uint8Array();
  }

  text(directory: Directory, tag: number): string {
    return Buffer.from(this.bytes(directory, tag)).toString("utf8").replace(/\0+$/, "");
  }

  /** The first byte after `start` that belongs to a directory or to the values of its tags; otherwise the end of the file. */
  nextHeader(start: number): number {
    let next = this.#bytes.length;
    for (const { offset, entries } of this.directories) {
      for (const at of [offset, ...[...entries.values()].map((entry) => entry.at)]) if (at > start && at < next) next = at;
    }
    return next;
  }

  #unsigned(at: number, size: 2 | 4 | 8): number {
    const little = !this.bigEndian;
    if (at + size > this.#bytes.length) throw broken("the TIFF is cut off");
    if (size === 2) return this.#view.getUint16(at, little);
    return size === 4 ? this.#view.getUint32(at, little) : Number(this.#view.getBigUint64(at, little));
  }

  #value(type: number, at: number): number {
    const little = !this.bigEndian;
    switch (type) {
      case 3:
        return this.#view.getUint16(at, little);
      case 4:
      case 13:
        return this.#view.getUint32(at, little);
      case 5:
        return this.#view.getUint32(at, little) / this.#view.getUint32(at + 4, little);
      case 8:
        return this.#view.getInt16(at, little);
      case 9:
        return this.#view.getInt32(at, little);
      case 10:
        return this.#view.getInt32(at, little) / this.#view.getInt32(at + 4, little);
      case 11:
        return this.#view.getFloat32(at, little);
      case 12:
        return this.#view.getFloat64(at, little);
      case 16:
      case 18:
        return Number(this.#view.getBigUint64(at, little));
      case 17:
        return Number(this.#view.getBigInt64(at, little));
      default:
        return this.#view.getUint8(at);
    }
  }

  #walk(first: number): void {
    const seen = new Set<number>();
    let walked = 0;
    for (let offset = first; offset !== 0; ) {
      if (seen.has(offset))
        throw broken(`its directories form a circle: the one after directory ${this.directories.length} came before`);
      seen.add(offset);
      const { directory, next, length } = this.#directory(offset);
      walked += length;
      // Directories that lie one in the other could still be more than the file has bytes.
      if (walked > this.#bytes.length) throw broken("its directories overlap");
      this.directories.push(directory);
      offset = next;
    }
    if (this.directories.length === 0) throw broken("it has no directory, so no image");
  }

  #directory(offset: number): { directory: Directory; next: number; length: number } {
    const [head, step, word] = this.big ? ([8, 20, 8] as const) : ([2, 12, 4] as const);
    const outside = () => broken(`directory ${this.directories.length} lies outside the file`);
    if (offset + head > this.#bytes.length) throw outside();
    const count = this.#unsigned(offset, head);
    const end = offset + head + count * step;
    if (count < 1 || end > this.#bytes.length) throw outside();
    const entries = new Map<number, Entry>();
    for (let at = offset + head; at < end; at += step) {
      const tag = this.#unsigned(at, 2);
      const type = this.#unsigned(at + 2, 2);
      const values = this.#unsigned(at + 4, word);
      const bytes = values * (SIZES[type] ?? 1);
      const from = bytes <= word ? at + 4 + word : this.#unsigned(at + 4 + word, word);
      if (from + bytes <= this.#bytes.length) entries.set(tag, { type, count: values, at: from });
      else if (tag < PRIVATE || LOADED.has(tag)) throw broken(`the values of its tag ${tag} lie outside the file`);
    }
    // Some writers leave out the offset of the next directory after the last.
    const next = end + word <= this.#bytes.length ? this.#unsigned(end, word) : 0;
    return { directory: { offset, entries }, next, length: head + count * step };
  }
}
