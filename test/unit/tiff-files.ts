// Writes TIFF files tag by tag, as no library would: circles of directories, planes without a directory, 64-bit samples.
export interface TiffPage {
  width: number;
  height: number;
  /** Little-endian samples of the first plane, and of any that follow it without a directory. */
  pixels: ArrayBufferView;
  bits: number;
  /** 1 unsigned, 2 signed, 3 float. */
  format?: number;
  samples?: number;
  /** Further tags: number, type, values (text for type 2); 284 of 2 makes planes of the samples, one strip each. */
  tags?: [tag: number, type: number, values: number[] | string][];
  compression?: number;
}

const SIZES: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8 };

/** A little-endian classic TIFF; `next` gives the directory after each page, by its number, in place of the following one. */
export function tiffOf(pages: TiffPage[], next: Record<number, number> = {}): Buffer {
  const parts: Buffer[] = [Buffer.from("II*\0\0\0\0\0", "latin1")];
  let at = 8;
  const append = (part: Buffer) => {
    const start = at;
    const padded = part.length % 2 ? Buffer.concat([part, Buffer.alloc(1)]) : part;
    parts.push(padded);
    at += padded.length;
    return start;
  };
  const directories = pages.map((page) => {
    const { width, height, pixels, bits, format = 1, samples = 1, compression = 1 } = page;
    const data = append(Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength));
    const planar = page.tags?.some(([tag, , values]) => tag === 284 && values[0] === 2);
    const plane = compression === 1 ? (width * height * samples * bits) / 8 : pixels.byteLength;
    const tags: [number, number, number[] | string][] = [
      [256, 4, [width]],
      [257, 4, [height]],
      [258, 3, new Array(samples).fill(bits)],
      [259, 3, [compression]],
      [262, 3, [samples >= 3 ? 2 : 1]],
      [273, 4, planar ? Array.from({ length: samples }, (_, c) => data + (c * plane) / samples) : [data]],
      [277, 3, [samples]],
      [278, 4, [height]],
      [279, 4, planar ? new Array(samples).fill(plane / samples) : [plane]],
      [339, 3, new Array(samples).fill(format)],
    ];
    for (const extra of page.tags ?? []) {
      const same = tags.findIndex(([tag]) => tag === extra[0]);
      if (same >= 0) tags.splice(same, 1);
      tags.push(extra);
    }
    tags.sort((a, b) => a[0] - b[0]);
    const directory = Buffer.alloc(2 + tags.length * 12 + 4);
    directory.writeUInt16LE(tags.length, 0);
    for (const [i, [tag, type, values]] of tags.entries()) {
      const size = SIZES[type] as number;
      const bytes = typeof values === "string" ? Buffer.from(`${values}\0`, "latin1") : Buffer.alloc(values.length * size);
      if (typeof values !== "string")
        for (const [k, value] of values.entries()) bytes.writeUIntLE(value, k * size, Math.min(size, 4));
      const entry = 2 + i * 12;
      directory.writeUInt16LE(tag, entry);
      directory.writeUInt16LE(type, entry + 2);
      directory.writeUInt32LE(bytes.length / size, entry + 4);
      if (bytes.length <= 4) bytes.copy(directory, entry + 8);
      else directory.writeUInt32LE(append(bytes), entry + 8);
    }
    return { directory, start: append(directory) };
  });
  const offset = (page: number) => directories[page]?.start ?? 0;
  parts[0]?.writeUInt32LE(offset(0), 4);
  for (const [i, { directory }] of directories.entries())
    directory.writeUInt32LE(offset(next[i] ?? i + 1), directory.length - 4);
  return Buffer.concat(parts);
}
