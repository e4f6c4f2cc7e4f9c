/**
 * Finds out whether the colours of an image only display one channel: two of three channels are empty, all are multiples of one,
 * or a colour table (LUT) runs through one hue. Such an image is a grey image. The networks look for nuclei and cells in certain
 * channels, and find next to nothing when a grey image arrives in red.
 */
import type { Samples } from "./image.js";

/** The one colour of an image, and the channel that holds its values. */
export interface OneColour {
  name: string;
  channel: number;
}

/** Side of the blocks over which the noise of JPEG averages out. */
const BLOCK = 16;
/** Largest contrast of an empty channel's blocks, and largest brightness, as shares of those of the brightest channel. */
const JPEG_NOISE = { contrast: 0.1, mean: 0.12 };

/** Images of a lower maximum are not compared channel by channel. */
const DARKEST = 16;

/** The name of a colour with these shares of red, green and blue. */
function nameOf(shares: readonly number[]): string {
  const on = shares.map((share) => share > 0.5);
  const names: Record<string, string> = {
    "true,false,false": "red",
    "false,true,false": "green",
    "false,false,true": "blue",
    "true,true,false": "yellow",
    "true,false,true": "magenta",
    "false,true,true": "cyan",
  };
  return names[on.join()] ?? "one colour";
}

/**
 * The colour of an image [H,W,3] that has only one; null for grey in three equal channels, for colours, and for two channels of
 * different content such as [empty, nuclei, whole cell].
 */
export function oneColour(data: Samples, height: number, width: number): OneColour | null {
  if (isColoured(data)) return null;
  const [low, high] = extremes(data);
  const used = [0, 1, 2].filter((c) => (high[c] as number) > (low[c] as number));
  if (used.length === 0) return null;
  const brightest = used.reduce((a, b) => ((high[b] as number) > (high[a] as number) ? b : a));
  const alone = (c: number): OneColour => ({ name: nameOf([0, 1, 2].map((k) => Number(k === c))), channel: c });
  if (used.length === 1) return alone(brightest);
  const peak = high[brightest] as number;
  const shares = [0, 1, 2].map((c) => (high[c] as number) / peak);
  // Below, rounding alone would make any colour a multiple.
  const float = data instanceof Float32Array || data instanceof Float64Array;
  if ((float || peak >= DARKEST) && areMultiples(data, brightest, shares))
    return shares.every((share) => share === 1) ? null : { name: nameOf(shares), channel: brightest };
  const noisy = data instanceof Uint8Array && jpegNoise(data, height, width);
  return noisy === null || noisy === false ? null : alone(noisy);
}

/** Whether some thousand pixels show two channels that are neither empty nor multiples: most coloured images end here. */
function isColoured(data: Samples): boolean {
  const pixels = Math.floor(data.length / 3);
  const step = Math.max(1, Math.floor(pixels / 5000));
  const count = Math.floor((pixels - 1) / step) + 1;
  const some = new Float32Array(count * 3);
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) some[3 * i + c] = data[3 * i * step + c] as number;
  const [low, high] = extremes(some);
  const mean = [0, 0, 0];
  for (let i = 0; i < some.length; i++) mean[i % 3] = (mean[i % 3] as number) + (some[i] as number) / count;
  const most = Math.max(...mean);
  const used = [0, 1, 2].filter((c) => (mean[c] as number) > most / 4 && (high[c] as number) - (low[c] as number) > most / 4);
  if (used.length < 2) return false;
  const brightest = used.reduce((a, b) => ((high[b] as number) > (high[a] as number) ? b : a));
  const peak = high[brightest] as number;
  return used.some((c) => {
    const share = (high[c] as number) / peak;
    for (let i = 0; i < some.length; i += 3) {
      // Wide of rounding, since the peak of some pixels is not that of all.
      if (Math.abs((some[i + c] as number) - (some[i + brightest] as number) * share) > 4 + peak / 20) return true;
    }
    return false;
  });
}

function extremes(data: Samples): [number[], number[]] {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i + 2 < data.length; i += 3) {
    for (let c = 0; c < 3; c++) {
      const value = data[i + c] as number;
      if (value < (low[c] as number)) low[c] = value;
      if (value > (high[c] as number)) high[c] = value;
    }
  }
  return [low, high];
}

/** Whether every pixel has the given shares of its brightest channel, but for rounding. */
function areMultiples(data: Samples, brightest: number, shares: readonly number[]): boolean {
  const float = data instanceof Float32Array || data instanceof Float64Array;
  for (let i = 0; i + 2 < data.length; i += 3) {
    const value = data[i + brightest] as number;
    const slack = float ? Math.abs(value) * 1e-3 : 1;
    for (let c = 0; c < 3; c++) {
      if (Math.abs((data[i + c] as number) - value * (shares[c] as number)) > slack) return false;
    }
  }
  return true;
}

/**
 * The only channel that holds more than the traces that JPEG leaves in empty ones; null where there are several. The traces are
 * noise around edges, so they vanish in the means of blocks, which a dim stain does not.
 */
function jpegNoise(data: Uint8Array, height: number, width: number): number | null {
  const [down, across] = [Math.floor(height / BLOCK), Math.floor(width / BLOCK)];
  if (down * across < 9) return null;
  const contrast = [0, 0, 0];
  const mean = [0, 0, 0];
  for (let c = 0; c < 3; c++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < down; row++) {
      for (let column = 0; column < across; column++) {
        let block = 0;
        for (let y = row * BLOCK; y < (row + 1) * BLOCK; y++)
          for (let x = column * BLOCK; x < (column + 1) * BLOCK; x++) block += data[(y * width + x) * 3 + c] as number;
        block /= BLOCK * BLOCK;
        sum += block;
        squares += block * block;
      }
    }
    mean[c] = sum / (down * across);
    contrast[c] = Math.sqrt(Math.max(0, squares / (down * across) - (mean[c] as number) ** 2));
  }
  const first = [0, 1, 2].reduce((a, b) => ((contrast[b] as number) > (contrast[a] as number) ? b : a));
  const empty = (c: number) =>
    (contrast[c] as number) <= JPEG_NOISE.contrast * (contrast[first] as number) &&
    (mean[c] as number) <= JPEG_NOISE.mean * (mean[first] as number);
  return [0, 1, 2].every((c) => c === first || empty(c)) ? first : null;
}

/**
 * The values that a colour table of one hue displays, and its name; null for a table of several. Of a table that rises with the
 * index in more than 8 bit the indices are the values, otherwise the brightness of the entries, so that an inverted table shows
 * what is seen.
 */
export function oneHue(data: Samples, palette: Uint8Array): { values: Samples; name: string } | null {
  const used = new Uint8Array(Math.floor(palette.length / 3));
  for (let i = 0; i < data.length; i++) {
    if ((data[i] as number) >= used.length) return null; // reported where colours are looked up
    used[data[i] as number] = 1;
  }
  const entries = [...used.keys()].filter((entry) => used[entry]);
  const colour = (entry: number) => [...palette.subarray(3 * entry, 3 * entry + 3)] as [number, number, number];
  const brightness = (entry: number) => Math.max(...colour(entry));
  const top = entries.reduce((a, b) => (brightness(b) > brightness(a) ? b : a), entries[0] ?? 0);
  if (brightness(top) === 0) return null;
  const shares = colour(top).map((value) => value / brightness(top));
  const same = (entry: number) =>
    colour(entry).every((value, c) => Math.abs(value - brightness(entry) * (shares[c] as number)) <= 1);
  if (!entries.every(same)) return null;
  // Entries without a pixel say how bright the colour can be.
  const peak = [...used.keys()].filter(same).reduce((most, entry) => Math.max(most, brightness(entry)), 0);
  const name = shares.every((share) => share === 1) ? "grey" : nameOf(shares);
  const rising = entries.every((entry, i) => i === 0 || brightness(entry) >= brightness(entries[i - 1] as number));
  if (rising && used.length > 256) return { values: data, name };
  const table = Uint8Array.from(used.keys(), (entry) => Math.round((brightness(entry) * 255) / peak));
  return { values: Uint8Array.from(data, (value) => table[value] as number), name };
}

/**
 * Whether a fourth (of grey images a second) channel that a file calls alpha is one: constant, or opaque in at least half of the
 * pixels. A stain is not at the top of its range in half of an image.
 */
export function isAlpha(data: Samples, channels: number): "constant" | "varies" | null {
  let [opaque, pixels] = [0, 0];
  let top = 0;
  let constant = true;
  for (let i = channels - 1; i < data.length; i += channels) {
    const value = data[i] as number;
    if (value !== data[channels - 1]) constant = false;
    if (value > top) [top, opaque] = [value, 0];
    if (value === top) opaque++;
    pixels++;
  }
  if (constant) return "constant";
  const full = data instanceof Uint8Array ? 255 : data instanceof Uint16Array ? 65535 : top;
  return top === full && opaque * 2 >= pixels ? "varies" : null;
}
