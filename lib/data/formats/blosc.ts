/**
 * Unpacks frames of Blosc 1, as its README_CHUNK_FORMAT describes them: blocks of streams, each packed by LZ4, zlib, Zstandard or
 * BloscLZ, and then the bytes or bits of their values put back in order. Every stream has to give what its block needs: a frame
 * is untrusted, and the library behind zarrita returns whatever is in memory where one is damaged.
 */
import { inflateSync } from "node:zlib";
import { broken, unsupported } from "./limits.js";

/** Unpacks a frame of Zstandard that needs to hold `size` bytes, or throws. */
export type UnpackZstd = (bytes: Uint8Array, size: number) => Uint8Array | Promise<Uint8Array>;

const HEADER = 16;
const flag = { bytesShuffled: 1, stored: 2, bitsShuffled: 4, oneStream: 16 } as const;
/** A block is divided into a stream for each byte of its values where these are no wider, and the streams no shorter. */
const MOST_STREAMS = 16;
const LEAST_STREAM_BYTES = 128;

/** @throws CellsamError ERR_IMAGE_BROKEN when the frame holds more than `most` bytes or is damaged, ERR_IMAGE_UNSUPPORTED */
export async function unpackBlosc(frame: Uint8Array, most: number, unpackZstd: UnpackZstd): Promise<Uint8Array> {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const number = (at: number) => (at + 4 <= frame.length ? view.getUint32(at, true) : damaged());
  const [size, blockSize, packed] = [number(4), number(8), number(12)];
  const [, , flags = 0, width = 0] = frame;
  if (size > most) throw broken(`a chunk declares ${size} bytes where at most ${most} belong`);
  if (packed !== frame.length || width === 0) damaged();
  if (flags & flag.stored) return packed === HEADER + size ? frame.slice(HEADER) : damaged();
  if (blockSize === 0 || blockSize > size) damaged();

  const unpackStream = streamOf(flags >> 5, unpackZstd);
  /** The values of a block, whose streams begin at `start`. */
  const unpackBlock = async (start: number, length: number) => {
    const divides = !(flags & flag.oneStream) && width <= MOST_STREAMS && blockSize / width >= LEAST_STREAM_BYTES;
    const streams = divides && length === blockSize ? width : 1;
    const needed = length / streams;
    const values = new Uint8Array(length);
    for (let stream = 0, end = start; stream < streams; stream++) {
      const from = end + 4;
      end = from + number(end);
      const bytes = end <= frame.length ? frame.subarray(from, end) : damaged();
      const unpacked = bytes.length === needed ? bytes : await unpackStream(bytes, needed);
      values.set(unpacked.length === needed ? unpacked : damaged(), stream * needed);
    }
    return values;
  };
  const inOrder = flags & flag.bitsShuffled ? bitsInOrder : flags & flag.bytesShuffled ? bytesInOrder : asTheyAre;
  const out = new Uint8Array(size);
  for (let first = 0, block = 0; first < size; first += blockSize, block++) {
    const values = await unpackBlock(number(HEADER + 4 * block), Math.min(blockSize, size - first));
    out.set(inOrder(values, width), first);
  }
  return out;
}

const asTheyAre = (values: Uint8Array) => values;

function damaged(): never {
  throw broken("a chunk packed by blosc is cut off or damaged");
}

function streamOf(
  format: number,
  unpackZstd: UnpackZstd,
): (bytes: Uint8Array, size: number) => Uint8Array | Promise<Uint8Array> {
  if (format === 0) return unpackBloscLz;
  if (format === 1) return unpackLz4;
  if (format === 3) return unpackZlib;
  if (format === 4) return unpackZstd;
  throw unsupported(`a chunk is packed by blosc with the method number ${format}, which is not read`);
}

function unpackZlib(bytes: Uint8Array, size: number): Uint8Array {
  try {
    return inflateSync(bytes, { maxOutputLength: size });
  } catch {
    damaged();
  }
}

/** Bytes that are taken and written one after another, with their limits. */
class Streams {
  at = 0;
  written = 0;
  readonly out: Uint8Array;

  constructor(
    readonly bytes: Uint8Array,
    size: number,
  ) {
    this.out = new Uint8Array(size);
  }

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    return this.bytes[this.at++] ?? damaged();
  }

  /** A length that goes on in further bytes as long as they are 255. */
  longer(length: number): number {
    let sum = length;
    for (let more = 255; more === 255; sum += more) more = this.byte();
    return sum;
  }

  literals(count: number): void {
    if (this.at + count > this.bytes.length || this.written + count > this.out.length) damaged();
    this.out.set(this.bytes.subarray(this.at, this.at + count), this.written);
    this.at += count;
    this.written += count;
  }

  /** Repeats what was written `distance` bytes before; the two may overlap. */
  repeat(distance: number, count: number): void {
    const { out } = this;
    if (distance < 1 || distance > this.written || this.written + count > out.length) damaged();
    for (const end = this.written + count; this.written < end; this.written++)
      out[this.written] = out[this.written - distance] as number;
  }

  get result(): Uint8Array {
    return this.written === this.out.length ? this.out : damaged();
  }
}

/** LZ4's block format: literals and matches in turn, the last literals without a match. */
function unpackLz4(bytes: Uint8Array, size: number): Uint8Array {
  const streams = new Streams(bytes, size);
  for (;;) {
    const token = streams.byte();
    const literals = token >> 4;
    streams.literals(literals === 15 ? streams.longer(15) : literals);
    if (streams.ended) return streams.result;
    const distance = streams.byte() | (streams.byte() << 8);
    const match = token & 15;
    streams.repeat(distance, 4 + (match === 15 ? streams.longer(15) : match));
  }
}

/** BloscLZ: a control byte below 32 is the number of literals less one, any other begins a match. */
function unpackBloscLz(bytes: Uint8Array, size: number): Uint8Array {
  const streams = new Streams(bytes, size);
  const FAR = 8191;
  let control = streams.byte() & 31;
  for (;;) {
    if (control < 32) streams.literals(control + 1);
    else {
      const length = control >> 5;
      const high = control & 31;
      const count = 2 + (length === 7 ? streams.longer(7) : length);
      const low = streams.byte();
      const far = high === 31 && low === 255;
      streams.repeat(1 + (far ? FAR + (streams.byte() << 8) + streams.byte() : (high << 8) + low), count);
    }
    if (streams.ended) return streams.result;
    control = streams.byte();
  }
}

/** Undoes the order in which first bytes of all values stand first, then the second ones, and so on; what is left over stays. */
function bytesInOrder(values: Uint8Array, width: number): Uint8Array {
  const count = Math.floor(values.length / width);
  const out = values.slice();
  for (let byte = 0; byte < width; byte++) {
    for (let i = 0; i < count; i++) out[i * width + byte] = values[byte * count + i] as number;
  }
  return out;
}

/** The same for single bits, the lowest first, in whole groups of eight values. */
function bitsInOrder(values: Uint8Array, width: number): Uint8Array {
  const count = Math.floor(values.length / width);
  const out = values.slice();
  if (count % 8 !== 0) return out;
  out.fill(0, 0, count * width);
  for (let byte = 0; byte < width; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const row = ((byte * 8 + bit) * count) / 8;
      for (let i = 0; i < count; i++) {
        const set = ((values[row + (i >> 3)] as number) >> (i & 7)) & 1;
        out[i * width + byte] = (out[i * width + byte] as number) | (set << bit);
      }
    }
  }
  return out;
}
