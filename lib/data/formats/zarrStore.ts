/** The files of a Zarr hierarchy in a local folder, with limits on what is read and unpacked. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { inflateSync, unzipSync } from "node:zlib";
import type { AbsolutePath, AsyncReadable, RangeQuery } from "zarrita";
import { unpackBlosc } from "./blosc.js";
import { isObject, listOf } from "./json.js";
import { broken, unsupported } from "./limits.js";

/** Bytes that one chunk may have, unpacked. */
export const MOST_CHUNK_BYTES = 2 ** 28;
const MOST_METADATA_BYTES = 2 ** 24;

const METADATA = ["zarr.json", ".zattrs", ".zgroup", ".zarray"];

/** Whether a folder is a group or an array of Zarr. */
export function isZarr(path: string): boolean {
  return METADATA.some((name) => existsSync(join(path, name)));
}

/** Reads synchronously: a decode thread has nothing else to do. */
export class FolderStore implements AsyncReadable {
  /** Chunks that were found. */
  found = 0;

  constructor(readonly folder: string) {}

  async get(key: AbsolutePath): Promise<Uint8Array | undefined> {
    const path = this.pathOf(key);
    const info = statSync(path, { throwIfNoEntry: false });
    if (!info?.isFile()) return undefined;
    const metadata = METADATA.some((name) => key.endsWith(`/${name}`));
    if (!metadata) this.found++;
    if (info.size > (metadata ? MOST_METADATA_BYTES : MOST_CHUNK_BYTES)) throw broken(`its file ${key} has ${info.size} bytes`);
    const bytes = readFileSync(path);
    if (key.endsWith("/zarr.json")) checkCodecs(bytes);
    return bytes;
  }

  async getRange(key: AbsolutePath, range: RangeQuery): Promise<Uint8Array | undefined> {
    const path = this.pathOf(key);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
    const file = openSync(path, "r");
    try {
      const { size } = fstatSync(file);
      const length = "suffixLength" in range ? range.suffixLength : range.length;
      const offset = "suffixLength" in range ? size - length : range.offset;
      if (!(offset >= 0 && length >= 0 && offset + length <= size && length <= MOST_CHUNK_BYTES))
        throw broken(`its file ${key} is cut off: it has ${size} bytes`);
      this.found++;
      const bytes = Buffer.alloc(length);
      readSync(file, bytes, 0, length, offset);
      return bytes;
    } finally {
      closeSync(file);
    }
  }

  /** A path in the metadata may not lead out of the folder. */
  private pathOf(key: string): string {
    const root = resolve(this.folder);
    const path = resolve(join(root, key));
    if (!path.startsWith(root + sep)) throw broken(`its metadata name the path ${key}`);
    return path;
  }
}

/**
 * zarrita looks all codecs of an array up at once and stops at the first failure: another one would be a failure that nobody waits
 * for, which ends the thread. So what is no codec is refused here, and an unknown one when it is its turn (limitCodecs).
 */
function checkCodecs(metadata: Uint8Array): void {
  const check = (codecs: unknown): void => {
    for (const codec of listOf(codecs)) {
      if (!isObject(codec)) throw broken("its metadata list a codec that is none");
      const inner = isObject(codec.configuration) ? codec.configuration : {};
      check(inner.codecs);
      check(inner.index_codecs);
    }
  };
  const array: unknown = JSON.parse(new TextDecoder().decode(metadata));
  if (isObject(array)) check(array.codecs);
}

interface Codec {
  decode: (input: never) => unknown;
}
/** What a codec is told of the chunks: their shape and type. */
interface ChunkInfo {
  shape: readonly number[];
  dataType: string;
}
interface CodecClass {
  fromConfig: (settings: unknown, chunk: ChunkInfo) => Codec;
}

/** Bytes of a chunk as it is in memory. */
function chunkBytes({ shape, dataType }: ChunkInfo): number {
  return shape.reduce((product, side) => product * side, Number(/\d+$/.exec(dataType)?.[0] ?? 8) / 8);
}

/** Checksums and headers that a codec may leave in front of or behind a chunk. */
const MARGIN = 1024;

/** Bytes that a compressed chunk declares to hold; undefined where its format does not say it. */
const declared: Record<"lz4" | "zstd", (bytes: DataView) => number | undefined> = {
  lz4: (bytes) => (bytes.byteLength < 4 ? undefined : bytes.getUint32(0, true)),
  zstd: zstdSize,
};

/**
 * Replaces codecs of zarrita by ones that unpack no more than a chunk holds, since some kilobytes can stand for gigabytes, and
 * those that it has not by ones that are refused.
 */
export function limitCodecs(registry: Map<string, () => unknown>): void {
  const loadZstd = registry.get("zstd") as () => Promise<CodecClass>;
  type Decode = (codec: Codec, most: number) => (bytes: Uint8Array) => unknown;
  const decoders: Record<string, Decode> = {
    gzip: (_, most) => (bytes) => unzipSync(bytes, { maxOutputLength: most }),
    zlib: (_, most) => (bytes) => inflateSync(bytes, { maxOutputLength: most }),
    lz4: (codec, most) => (bytes) => decodeDeclared(codec, bytes, "lz4", most),
    zstd: (codec, most) => (bytes) => decodeDeclared(codec, bytes, "zstd", most),
    blosc: (_, most) => async (bytes) => {
      const zstd = (await loadZstd()).fromConfig({}, { shape: [], dataType: "" });
      return unpackBlosc(bytes, most, (stream, size) => decodeDeclared(zstd, stream, "zstd", size));
    },
  };
  for (const [name, decoder] of Object.entries(decoders)) {
    for (const known of [name, `numcodecs.${name}`]) {
      const load = registry.get(known);
      if (!load) continue;
      registry.set(known, async () => {
        const own = (await load()) as CodecClass;
        return {
          fromConfig: (settings: unknown, chunk: ChunkInfo) => {
            const decode = decoder(own.fromConfig(settings, chunk), chunkBytes(chunk) + MARGIN);
            return { kind: "bytes_to_bytes", decode };
          },
        };
      });
    }
  }
  const known = registry.get.bind(registry);
  registry.get = (name) => known(name) ?? (() => unknownCodec(name));
}

/** Stands for a codec that zarrita has not. */
function unknownCodec(name: string): CodecClass {
  return {
    fromConfig: () => {
      throw unsupported(`its compression is not read (${name})`);
    },
  };
}

/** Decodes what declares how large it is, when that is at most `most` bytes. */
function decodeDeclared(codec: Codec, bytes: Uint8Array, name: keyof typeof declared, most: number): Promise<Uint8Array> {
  const size = declared[name](new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (size === undefined) throw unsupported(`a chunk packed by ${name} does not say how large it is`);
  if (size > most) throw broken(`a chunk declares ${size} bytes where at most ${most} belong`);
  return codec.decode(bytes as never) as Promise<Uint8Array>;
}

/** Frame_Content_Size of a Zstandard frame (RFC 8878, 3.1.1.1). */
function zstdSize(bytes: DataView): number | undefined {
  if (bytes.byteLength < 14 || bytes.getUint32(0, true) !== 0xfd2fb528) return bytes.byteLength < 14 ? 0 : undefined;
  const flags = bytes.getUint8(4);
  const single = (flags & 0x20) !== 0;
  const at = 5 + (single ? 0 : 1) + ([0, 1, 2, 4][flags & 3] as number);
  const kind = flags >> 6;
  if (kind === 0) return single ? bytes.getUint8(at) : undefined;
  if (kind === 1) return bytes.getUint16(at, true) + 256;
  if (kind === 2) return bytes.getUint32(at, true);
  return Number(bytes.getBigUint64(at, true));
}
