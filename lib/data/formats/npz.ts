/** NumPy's .npz, a zip of .npy files: the image or label map is the array with a known name, or the only array. */
import { crc32 } from "node:zlib";
import type yauzl from "yauzl";
import { lazily } from "../../lazily.js";
import type { RawImage } from "../image.js";
import { broken, unsupported } from "./limits.js";
import { type NpyHeader, npyHeader, readNpy } from "./npy.js";

const zipReader = lazily<typeof yauzl>("yauzl");

const NAMES = { image: ["image", "img", "x"], labels: ["masks", "mask", "labels", "label", "y"] };

/** @throws CellsamError ERR_IMAGE_UNSUPPORTED when no array stands out, ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE */
export async function readNpz(bytes: Uint8Array, maxPixels: number, kind: "image" | "labels"): Promise<RawImage> {
  let zip: yauzl.ZipFile;
  try {
    zip = await zipReader().fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    throw broken(`the .npz archive is damaged (${(error as Error).message})`, error);
  }
  try {
    const entries: yauzl.Entry[] = [];
    for await (const entry of zip.eachEntry()) if (entry.fileName.endsWith(".npy")) entries.push(entry);
    const named = (name: string) => entries.find(({ fileName }) => fileName.toLowerCase() === `${name}.npy`);
    const chosen =
      NAMES[kind].map(named).find((entry) => entry !== undefined) ?? (entries.length === 1 ? entries[0] : undefined);
    if (!chosen) {
      const list = entries.map(({ fileName }) => fileName.slice(0, -4)).join(", ") || "none";
      throw unsupported(`it has no array named ${NAMES[kind].join(", ")}; its arrays are ${list}`);
    }
    return readNpy(await contentOf(zip, chosen, maxPixels), maxPixels);
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("ERR_IMAGE_")) throw error;
    throw broken(`the .npz archive is damaged (${(error as Error).message})`, error);
  }
}

/** Reads the header of the array first: an archive of a megabyte may say that it unpacks to gigabytes, and even do so. */
async function contentOf(zip: yauzl.ZipFile, entry: yauzl.Entry, maxPixels: number): Promise<Buffer> {
  // As for whole files: the most that a valid array of the allowed size can take.
  if (entry.uncompressedSize > maxPixels * 16 + 2 ** 26 || entry.uncompressedSize > entry.compressedSize * 1032 + 1024)
    throw broken(`${entry.fileName} declares ${entry.uncompressedSize} bytes, which it cannot hold`);
  const parts: Buffer[] = [];
  let length = 0;
  let header: NpyHeader | undefined;
  for await (const part of await zip.openReadStreamPromise(entry)) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    header ??= npyHeader(parts.length === 1 ? (part as Buffer) : Buffer.concat(parts), maxPixels);
    if (header && Math.max(length, entry.uncompressedSize) > header.end)
      throw broken(
        `${entry.fileName} holds ${entry.uncompressedSize} bytes where shape (${header.shape.join(", ")}) needs ${header.end}`,
      );
  }
  const content = Buffer.concat(parts);
  if (crc32(content) !== entry.crc32) throw broken(`the checksum of ${entry.fileName} is wrong`);
  return content;
}
