/** A part of an image and of its label map. */
import type { LabelMap, NdImage } from "./image.js";

/** `width` x `height` pixels from column `x` and row `y` on. */
interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Copies an area of [H,W,...] data. */
function cut<T extends NdImage["data"] | Int32Array>(
  data: T,
  [, across, channels = 1]: readonly number[],
  { x, y, width, height }: Area,
): T {
  const result = new (data.constructor as new (length: number) => T)(height * width * channels);
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * (across ?? 0) + x) * channels;
    result.set(data.subarray(from, from + width * channels), row * width * channels);
  }
  return result;
}

/** The pixels of `area`, which lies inside of the image. */
export function crop(image: NdImage, labels: LabelMap, area: Area): { image: NdImage; labels: LabelMap } {
  const data = cut(labels.data, labels.shape, area);
  const ids = new Set(data);
  const count = ids.size - Number(ids.has(0)) - Number(ids.has(-1));
  const shape = [area.height, area.width, ...image.shape.slice(2)] as NdImage["shape"];
  return {
    image: { ...image, data: cut(image.data, image.shape, area), shape },
    labels: { ...labels, data, shape: [area.height, area.width], count },
  };
}

/** The positions at which parts of `side` pixels begin so that they cover `length`; the last one ends at its end. */
function starts(length: number, side: number): number[] {
  const count = Math.max(1, Math.ceil(length / side));
  return Array.from({ length: count }, (_, i) => Math.max(0, Math.min(i * side, length - side)));
}

/** The part of at most `side` x `side` pixels with the most cell pixels; the first of equal ones. */
export function fullestCrop(image: NdImage, labels: LabelMap, side: number): { image: NdImage; labels: LabelMap } {
  const [rows, columns] = labels.shape;
  const [height, width] = [Math.min(side, rows), Math.min(side, columns)];
  let best = { x: 0, y: 0, cells: -1 };
  for (const y of starts(rows, side)) {
    for (const x of starts(columns, side)) {
      let cells = 0;
      for (let row = y; row < y + height; row++) {
        for (let i = row * columns + x; i < row * columns + x + width; i++) if ((labels.data[i] ?? 0) > 0) cells++;
      }
      if (cells > best.cells) best = { x, y, cells };
    }
  }
  return crop(image, labels, { ...best, width, height });
}
