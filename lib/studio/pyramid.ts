/** The pixels of an image at falling resolutions: each level is the mean of 2 x 2 pixels of the one before. */
import { setImmediate } from "node:timers/promises";
import type { NdImage } from "../data/image.js";
import type { ImageView } from "./api.js";

export const tileSize = 512;
/** Samples that are looked at for percentiles. */
const surveyed = 1 << 20;
/** Rows of a level that are made before other requests get their turn. */
const rowsAtOnce = 64;

type Pixels = NdImage["data"];

export interface Level {
  /** [H,W,C]. */
  data: Pixels;
  width: number;
  height: number;
}

type ChannelFacts = ImageView["channels"][number];

export class Pyramid {
  readonly channels: number;
  readonly #sizes: { width: number; height: number }[];
  /** Those that were asked for so far. */
  readonly #levels: Promise<Level>[];
  readonly #sampleBytes: number;

  /** Of an image [H,W] or [H,W,C]. */
  constructor({ data, shape: [height, width, channels = 1] }: NdImage) {
    this.channels = channels;
    this.#sampleBytes = data.BYTES_PER_ELEMENT;
    this.#sizes = levelSizes(width, height);
    this.#levels = [Promise.resolve({ data, width, height })];
  }

  /** Height and width, and how many tiles there are, of each level. */
  get levels(): ImageView["levels"] {
    return this.#sizes.map(({ width, height }) => ({
      width,
      height,
      columns: Math.ceil(width / tileSize),
      rows: Math.ceil(height / tileSize),
    }));
  }

  /** Bytes of all levels. */
  get bytes(): number {
    return this.#sizes.reduce((sum, { width, height }) => sum + width * height * this.channels * this.#sampleBytes, 0);
  }

  /** undefined where there is no such level. */
  async level(number: number): Promise<Level | undefined> {
    if (number >= this.#sizes.length) return undefined;
    for (let made = this.#levels.length; made <= number; made++)
      this.#levels.push((this.#levels[made - 1] as Promise<Level>).then((finer) => halved(finer, this.channels)));
    return this.#levels[number];
  }
}

/** Down to the first level that fits into one tile. */
function levelSizes(width: number, height: number): { width: number; height: number }[] {
  const sizes = [{ width, height }];
  for (let last = sizes[0] as Level; last.width > tileSize || last.height > tileSize; ) {
    last = { ...last, width: Math.ceil(last.width / 2), height: Math.ceil(last.height / 2) };
    sizes.push({ width: last.width, height: last.height });
  }
  return sizes;
}

/** At an odd edge the mean is of the pixels that are there. */
async function halved({ data, width, height }: Level, channels: number): Promise<Level> {
  const [wide, high] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const out = new (data.constructor as new (length: number) => Pixels)(wide * high * channels);
  const rounding = data instanceof Float32Array ? 0 : 2;
  for (let y = 0; y < high; y++) {
    if (y % rowsAtOnce === rowsAtOnce - 1) await setImmediate();
    const upper = 2 * y * width * channels;
    const lower = Math.min(2 * y + 1, height - 1) * width * channels;
    for (let x = 0; x < wide; x++) {
      const left = 2 * x * channels;
      const right = Math.min(2 * x + 1, width - 1) * channels;
      for (let c = 0; c < channels; c++) {
        const sum =
          (data[upper + left + c] as number) +
          (data[upper + right + c] as number) +
          (data[lower + left + c] as number) +
          (data[lower + right + c] as number);
        out[(y * wide + x) * channels + c] = rounding > 0 ? (sum + rounding) >> 2 : sum / 4;
      }
    }
  }
  return { data: out, width: wide, height: high };
}

/** Names, ranges and the contrast and colour to begin with, of each channel of an image [H,W] or [H,W,C]. */
export function channelFacts({ data, dtype, shape: [height, width, channels = 1] }: NdImage): ChannelFacts[] {
  const names = channels === 1 ? ["grey"] : ["red", "green", "blue"];
  const colours = channels === 1 ? ["ffffff"] : ["ff0000", "00ff00", "0000ff"];
  const step = Math.max(1, Math.ceil((height * width) / surveyed));
  return names.map((name, c) => {
    const values = new Float64Array(Math.ceil((height * width) / step));
    for (let i = 0; i < values.length; i++) values[i] = data[i * step * channels + c] as number;
    values.sort();
    const at = (share: number) => values[Math.round(share * (values.length - 1))] as number;
    const [min, max] = [at(0), at(1)];
    // Colours of 8 bit are as they should look.
    const asStored = dtype === "uint8" && channels === 3;
    return {
      name,
      min,
      max,
      low: asStored ? 0 : at(0.001),
      high: asStored ? 255 : Math.max(at(0.999), at(0.001) + (dtype === "float32" ? 1e-6 : 1)),
      color: colours[c] as string,
    };
  });
}
