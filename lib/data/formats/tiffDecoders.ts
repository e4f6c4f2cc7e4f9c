/**
 * Undoes the compression of the strips and tiles of a TIFF, for geotiff, whose own decoders write whatever the data ask for: some
 * kilobytes can ask for gigabytes. These stop at the size that the tags declare.
 */
import { inflateSync } from "node:zlib";
import type { BaseDecoder, DecoderWorker } from "geotiff";
import { lazily } from "../../lazily.js";
import { broken } from "./limits.js";

const geotiff = lazily<typeof import("geotiff")>("geotiff");

type Parameters = ConstructorParameters<typeof BaseDecoder>[0];

/**
 * What geotiff calls a pool: it gives the decoder of a compression. geotiff decodes blocks side by side and leaves rejections
 * of all but the first unhandled, so a damaged block is zeros here, and `failure` what is wrong with the first of them.
 * @param limit most bytes that a block may decode to
 */
export function boundedDecoders(limit: number): {
  bindParameters: (compression: number, parameters: Parameters) => DecoderWorker;
  failure: { error: unknown } | undefined;
} {
  const pool: ReturnType<typeof boundedDecoders> = {
    failure: undefined,
    bindParameters: (compression, parameters) => {
      class Bounded extends geotiff().BaseDecoder {
        override decodeBlock(buffer: ArrayBuffer): Promise<ArrayBuffer> {
          return decoded(compression, new Uint8Array(buffer), limit, parameters).catch((error: unknown) => {
            pool.failure ??= { error };
            return new ArrayBuffer(limit);
          });
        }
      }
      return new Bounded(parameters) as unknown as DecoderWorker;
    },
  };
  return pool;
}

async function decoded(compression: number, bytes: Uint8Array, limit: number, parameters: Parameters): Promise<ArrayBuffer> {
  switch (compression) {
    case 5:
      return unpackLzw(bytes, limit).slice().buffer as ArrayBuffer;
    case 8:
    case 32946: {
      const block = inflateSync(bytes, { maxOutputLength: limit });
      return block.buffer.slice(block.byteOffset, block.byteOffset + block.length) as ArrayBuffer;
    }
    case 32773:
      return unpackBits(bytes, limit).slice().buffer as ArrayBuffer;
    case 50000: {
      if (zstdBound(bytes) > limit * 32 + 2 ** 20) throw tooLong(limit);
      const { predictor: _, ...plain } = parameters;
      const decoder = await geotiff().getDecoder(50000, { ...plain, predictor: 1 });
      return (await decoder.decode(bytes.slice().buffer as ArrayBuffer)) as ArrayBuffer;
    }
    default:
      return bytes.slice().buffer as ArrayBuffer;
  }
}

function tooLong(limit: number): Error {
  return broken(`a strip or tile of the TIFF unpacks to more than the ${limit} bytes that its tags declare`);
}

/** TIFF's LZW: codes of 9 to 12 bits from the high bit on, which grow one code early. */
export function unpackLzw(bytes: Uint8Array, limit: number): Uint8Array {
  const [clear, end] = [256, 257];
  const before = new Uint16Array(4096);
  const last = new Uint8Array(4096);
  const length = new Uint16Array(4096);
  for (let i = 0; i < 256; i++) {
    last[i] = i;
    length[i] = 1;
  }
  const out = new Uint8Array(limit);
  let [at, next, width, old, written] = [0, 258, 9, -1, 0];
  const bits = bytes.length * 8;
  for (;;) {
    if (at + width > bits) break;
    const byte = at >> 3;
    const window = ((bytes[byte] ?? 0) << 16) | ((bytes[byte + 1] ?? 0) << 8) | (bytes[byte + 2] ?? 0);
    const code = (window >> (24 - (at & 7) - width)) & ((1 << width) - 1);
    at += width;
    if (code === end) break;
    if (code === clear) {
      [next, width, old] = [258, 9, -1];
      continue;
    }
    if (code > next || (code >= 256 && old < 0) || (code === next && next === 4096))
      throw broken("the LZW data of the TIFF is damaged");
    // A code that is just being made is the last string and its own first byte.
    const string = code < next ? code : old;
    const size = (length[string] as number) + (code < next ? 0 : 1);
    if (written + size > limit) throw tooLong(limit);
    let to = written + (length[string] as number);
    for (let k = string; ; k = before[k] as number) {
      out[--to] = last[k] as number;
      if (to === written) break;
    }
    const first = out[written] as number;
    if (code === next) out[written + size - 1] = first;
    written += size;
    if (old >= 0 && next < 4096) {
      before[next] = old;
      last[next] = first;
      length[next] = (length[old] as number) + 1;
      next++;
    }
    old = code;
    if (next + 1 >= 1 << width && width < 12) width++;
  }
  return out.subarray(0, written);
}

/** PackBits: a count, then so many bytes, or one byte to repeat. */
export function unpackBits(bytes: Uint8Array, limit: number): Uint8Array {
  const out = new Uint8Array(limit);
  let written = 0;
  for (let at = 0; at < bytes.length; ) {
    const header = (((bytes[at++] as number) + 128) & 255) - 128;
    if (header === -128) continue;
    const count = Math.abs(header) + 1;
    if (written + count > limit) throw tooLong(limit);
    if (header < 0) out.fill(bytes[at++] ?? 0, written, written + count);
    else {
      out.set(bytes.subarray(at, at + count), written);
      at += count;
    }
    written += count;
  }
  return out.subarray(0, written);
}

/** The most that zstd frames can unpack to: 128 KiB for every compressed block, what raw and repeated blocks declare (RFC 8878). */
export function zstdBound(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [at, bound] = [0, 0];
  while (at + 5 <= bytes.length) {
    const magic = view.getUint32(at, true);
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50 && at + 8 <= bytes.length) {
      at += 8 + view.getUint32(at + 4, true); // a frame to be skipped
      continue;
    }
    if (magic !== 0xfd2fb528) break;
    const flags = view.getUint8(at + 4);
    const single = (flags >> 5) & 1;
    const sizeField = [single, 2, 4, 8][flags >> 6] as number;
    at += 5 + (1 - single) + ([0, 1, 2, 4][flags & 3] as number) + sizeField;
    for (let more = true; more && at + 3 <= bytes.length; ) {
      const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
      const [type, size] = [(header >> 1) & 3, header >> 3];
      more = (header & 1) === 0;
      at += 3 + (type === 1 ? 1 : size);
      bound += type === 2 ? 2 ** 17 : size;
    }
    if (flags & 4) at += 4; // checksum
  }
  return bound;
}
