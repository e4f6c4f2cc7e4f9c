/**
 * Turns stored samples into an image: chooses channels and checks the range of values. Only samples below 8 bit are scaled
 * here; how 16-bit and float images become 0..255 is done by prepare_image in native/data/normalize.cc.
 */
import { CellsamError } from "../errors.js";
import { isAlpha, oneColour, oneHue } from "./colours.js";
import type { NdImage, RawImage, Samples } from "./image.js";

/** What to set when an image has channels of unknown meaning. */
const CHANNELS_HELP = "`channels: [1]` for one, `channels: [0, 1]` for [nuclei, whole cell], or three for RGB";

function refuse(message: string): CellsamError {
  return new CellsamError("ERR_IMAGE_VALUES", message);
}

/**
 * Rules, in order:
 * - indexed colours are looked up, unless the colour table has one hue; bool and 1-bit become 0/255, 2 and 4 bit are stretched to 0..255; WhiteIsZero is inverted;
 * - an alpha channel that the file declares is dropped when it is constant or opaque in half of the image, with a note; one that
 *   varies like a stain is a channel. Four channels in an array without such a declaration (.npy) are read as RGBA only when the
 *   fourth is constant at its maximum;
 * - (H,W,1) is squeezed; three equal channels stay three; channels first is moved last when the first axis is at most 4 and
 *   smaller than both others;
 *   two channels, and more than four, are refused unless `wanted` says which to take (DecodeOptions.channels);
 * - three channels that display one (colours.ts) become grey, unless `wanted` or `keepColours` says that they mean something;
 * - NaN, infinity and negative values are refused; signed, 32 and 64 bit samples are narrowed to uint8, uint16 or float32
 *   without loss.
 */
export function toImage(raw: RawImage, wanted?: readonly number[], keepColours = false): NdImage {
  const notes = [...raw.notes];
  const hue = raw.palette && !wanted && !keepColours && raw.shape.length === 2 ? oneHue(raw.data, raw.palette) : null;
  if (hue) {
    const { palette: _, bits: __, ...rest } = raw;
    const image = toImage({ ...rest, data: hue.values, dtype: hue.values instanceof Uint8Array ? "uint8" : raw.dtype });
    return { ...image, ...(hue.name !== "grey" && { oneColour: hue.name }) };
  }
  let current = stretch(raw, notes);
  let shape = raw.palette ? [...raw.shape, 3] : [...raw.shape];
  if (shape.length === 3 && !raw.selected && isChannelsFirst(shape, wanted !== undefined)) {
    current = channelsLast(current, shape);
    shape = [shape[1] ?? 0, shape[2] ?? 0, shape[0] ?? 0];
    notes.push("channels come first in the file and were moved last");
  }
  const [height = 0, width = 0, channels = 1] = shape;
  if (wanted !== undefined) {
    const source = raw.selected ? wanted.map((_, i) => i) : wanted;
    const there = channels - (raw.alpha && isAlpha(current, channels) === "constant" ? 1 : 0);
    const data = narrow(compose(current, there, channels, source), raw.dtype);
    return { data, dtype: dtypeOf(data), shape: wanted.length === 1 ? [height, width] : [height, width, 3], notes };
  }
  let kept = channels;
  if (raw.alpha) {
    const alpha = isAlpha(current, channels);
    if (alpha === null) {
      throw refuse(
        `it has ${channels} channels, and the last, which the file calls alpha, varies like the others: it is a channel; say which to take: ${CHANNELS_HELP}`,
      );
    }
    kept = channels - 1;
    notes.push(alpha === "constant" ? "a constant alpha channel was dropped" : "an alpha channel that varies was dropped");
  } else if (channels === 4) {
    if (!isOpaque(current, raw.dtype)) throw refuse(`it has 4 channels; say which to take: ${CHANNELS_HELP}`);
    kept = 3;
    notes.push("a constant alpha channel was dropped");
  }
  if (kept === 2) throw refuse(`it has 2 channels; say which to take: ${CHANNELS_HELP}`);
  if (kept !== 1 && kept !== 3)
    throw refuse(
      `it has ${channels} channels (shape ${raw.shape.join(" x ")}); an image has 1 or 3, say which to take: ${CHANNELS_HELP}`,
    );
  if (kept !== channels) current = takeChannels(current, channels, kept);
  const colour = kept === 3 && !keepColours ? oneColour(current, height, width) : null;
  if (colour) {
    const data = narrow(compose(current, 3, 3, [colour.channel]), raw.dtype);
    return { data, dtype: dtypeOf(data), shape: [height, width], notes, oneColour: colour.name };
  }
  const data = narrow(current, raw.dtype);
  return { data, dtype: dtypeOf(data), shape: kept === 1 ? [height, width] : [height, width, kept], notes };
}

/**
 * Whether the shape is [C,H,W]: at most 4 first, and not a thin image with channels last. Where channels are chosen, any number
 * smaller than both sides will do.
 */
export function isChannelsFirst([a = 0, b = 0, c = 0]: number[], chosen: boolean): boolean {
  return chosen ? a < c && a < b : a <= 4 && b > a && c > a && c > 4;
}

function dtypeOf(data: NdImage["data"]): NdImage["dtype"] {
  return data instanceof Uint8Array ? "uint8" : data instanceof Uint16Array ? "uint16" : "float32";
}

/**
 * The `wanted` of `channels` (pixels are `step` samples apart): one becomes grey, two become green and blue with an empty red,
 * three are RGB.
 */
function compose(data: Samples, channels: number, step: number, wanted: readonly number[]): Samples {
  const missing = wanted.find((channel) => channel >= channels);
  if (missing !== undefined) throw refuse(`channel ${missing} was asked for, it has ${channels} (counted from 0)`);
  const out = wanted.length === 2 ? [-1, ...wanted] : [...wanted];
  const pixels = data.length / step;
  const size = pixels * out.length;
  const result = size <= data.length ? data.slice(0, size) : new (data.constructor as new (length: number) => Samples)(size);
  result.fill(0);
  for (let i = 0; i < pixels; i++) {
    for (const [k, channel] of out.entries()) if (channel >= 0) result[i * out.length + k] = data[i * step + channel] ?? 0;
  }
  return result;
}

function stretch(raw: RawImage, notes: string[]): Samples {
  const { data, palette } = raw;
  if (palette) {
    const out = new Uint8Array(data.length * 3);
    for (let i = 0; i < data.length; i++) {
      const entry = (data[i] ?? 0) * 3;
      if (entry + 2 >= palette.length) throw new CellsamError("ERR_IMAGE_BROKEN", "a pixel lies outside its colour table");
      out.set(palette.subarray(entry, entry + 3), i * 3);
    }
    notes.push("indexed colours were looked up");
    return out;
  }
  const top = raw.dtype === "bool" ? 1 : raw.bits ? (1 << raw.bits) - 1 : 0;
  const out = top > 0 ? Uint8Array.from(data, (value) => (Math.min(value, top) * 255) / top) : data;
  if (!raw.whiteIsZero) return out;
  const highest = raw.dtype === "uint16" ? 65535 : 255;
  if (raw.dtype !== "bool" && raw.dtype !== "uint8" && raw.dtype !== "uint16")
    throw refuse("WhiteIsZero with this sample type is not read");
  notes.push("stored inverted (WhiteIsZero), brightness was restored");
  return out.map((value) => highest - value);
}

/** [C,H,W] as [H,W,C]. */
export function channelsLast(data: Samples, [channels = 1, height = 1, width = 1]: number[]): Samples {
  const out = data.slice();
  const plane = height * width;
  for (let i = 0; i < plane; i++) for (let c = 0; c < channels; c++) out[i * channels + c] = data[c * plane + i] ?? 0;
  return out;
}

export function takeChannels(data: Samples, channels: number, kept: number): Samples {
  const out = data.slice(0, (data.length / channels) * kept);
  for (let from = 0, to = 0; from < data.length; from += channels) {
    for (let c = 0; c < kept; c++) out[to++] = data[from + c] ?? 0;
  }
  return out;
}

function isConstant(data: Samples, channels: number, channel: number): boolean {
  for (let i = channel; i < data.length; i += channels) if (data[i] !== data[channel]) return false;
  return true;
}

function isOpaque(data: Samples, dtype: string): boolean {
  const top = dtype.startsWith("float") ? 1 : dtype === "uint16" ? 65535 : 255;
  return isConstant(data, 4, 3) && data[3] === top;
}

function narrow(data: Samples, dtype: string): NdImage["data"] {
  if (data instanceof Uint8Array || data instanceof Uint16Array) return data;
  let high = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? 0;
    if (!Number.isFinite(value)) throw refuse("it holds NaN or infinite values; replace them");
    if (value < 0) throw refuse(`it holds negative values (${value}); shift it so that 0 is dark`);
    if (value > high) high = value;
  }
  if (dtype.startsWith("float")) {
    if (high > 3.4028234663852886e38) throw refuse("it holds values beyond float32");
    return data instanceof Float32Array ? data : Float32Array.from(data);
  }
  if (dtype === "int8") return Uint8Array.from(data);
  if (high <= 65535) return Uint16Array.from(data);
  if (high <= 2 ** 24) return Float32Array.from(data);
  throw refuse(`it holds integers up to ${high}; save it as 16 bit or float32`);
}
