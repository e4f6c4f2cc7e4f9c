/** Reads zip archives entry by entry. What an entry declares is checked before it is unpacked. */
import { crc32 } from "node:zlib";
import type yauzl from "yauzl";
import { lazily } from "../../lazily.js";
import { broken } from "./limits.js";

const zipReader = lazily<typeof yauzl>("yauzl");

/**
 * Returns the bytes of an entry that may have `most` of them. `sizeOf` says how many there must be by their beginning, or
 * undefined while that is too short.
 */
type Content = (entry: yauzl.Entry, most: number, sizeOf?: (start: Buffer) => number | undefined) => Promise<Buffer>;

/**
 * Calls `work` with the entries whose names `wanted` accepts, and closes the archive.
 * @throws CellsamError ERR_IMAGE_BROKEN for a damaged archive; errors of `work` with a code are passed on
 */
export async function withZip<T>(
  bytes: Uint8Array,
  what: string,
  wanted: (name: string) => boolean,
  work: (entries: yauzl.Entry[], content: Content) => Promise<T>,
): Promise<T> {
  try {
    const zip = await zipReader().fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const entries: yauzl.Entry[] = [];
    for await (const entry of zip.eachEntry()) if (wanted(entry.fileName)) entries.push(entry);
    return await work(entries, (entry, most, size) => contentOf(zip, entry, most, size));
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("ERR_IMAGE_")) throw error;
    if ((error as { code?: string }).code === "ERR_ANNOTATION") throw error;
    throw broken(`the ${what} archive is damaged (${(error as Error).message})`, error);
  }
}

/** Deflate packs at most 1032 to 1. */
async function contentOf(
  zip: yauzl.ZipFile,
  entry: yauzl.Entry,
  most: number,
  sizeOf?: (start: Buffer) => number | undefined,
): Promise<Buffer> {
  const { fileName, uncompressedSize, compressedSize } = entry;
  if (uncompressedSize > most || uncompressedSize > compressedSize * 1032 + 1024)
    throw broken(`${fileName} declares ${uncompressedSize} bytes, which it cannot hold`);
  const parts: Buffer[] = [];
  let length = 0;
  let size: number | undefined;
  for await (const part of await zip.openReadStreamPromise(entry)) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    size ??= sizeOf?.(parts.length === 1 ? (part as Buffer) : Buffer.concat(parts));
    if (size !== undefined && Math.max(length, uncompressedSize) > size)
      throw broken(`${fileName} holds ${uncompressedSize} bytes where its header needs ${size}`);
  }
  const content = Buffer.concat(parts);
  if (crc32(content) !== entry.crc32) throw broken(`the checksum of ${fileName} is wrong`);
  return content;
}
