/** A table of cells as CSV: one row a cell, for many images. */
import { CellsamError } from "../../errors.js";
import { openAtomic } from "../../files/writeAtomic.js";
import { checkKeys } from "../../optionKeys.js";
import { perimeter } from "./perimeter.js";
import { type CellBox, cellBoxes, cellMask, cellNumbers, type Segmentation, sizeOf } from "./segmentation.js";

/** Pixels [H,W] or [H,W,C] as a file stores them. */
export interface StoredPixels {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** A table that is being written. One of `commit` and `discard` must end it. */
export interface CellTableWriter {
  /**
   * Adds the cells of an image.
   * @param image name of the image, the first column
   * @param pixels the image, for mean intensities; without it those columns stay empty
   * @throws CellsamError ERR_FILE, ERR_LABEL_VALUES, ERR_SIZE_MISMATCH
   */
  add(image: string, cells: Segmentation, pixels?: StoredPixels): Promise<void>;
  /** Completes the file, which appears under its name now. @throws CellsamError ERR_FILE */
  commit(): Promise<void>;
  /** Leaves no file behind. Without effect after `commit`. */
  discard(): Promise<void>;
}

/**
 * Begins a table (RFC 4180) with the columns `image`, `id`, `centroid_x` and `centroid_y` (the mean of its pixels' columns
 * and rows from 0, as in scikit-image; add 0.5 for coordinates of the polygons), `area`, `perimeter` (Benkrid and Crookes), `x_min`, `y_min`, `x_max`, `y_max` (the box; the
 * largest column and row are excluded), `score`, `predicted_iou`, and `mean_intensity_0` and so on for `channels` channels.
 * Lengths are in pixels; what is not known is empty.
 * @throws CellsamError ERR_FILE
 */
export async function openCellTableWriter(path: string, options: { channels?: number } = {}): Promise<CellTableWriter> {
  checkKeys("openCellTableWriter", options, ["channels"]);
  const { channels = 0 } = options;
  const file = await openAtomic(path);
  const intensities = Array.from({ length: channels }, (_, c) => `mean_intensity_${c}`);
  await file.write(row([...columns, ...intensities]));
  return {
    add: async (image, cells, pixels) => {
      const { labels } = cells;
      if (pixels) checkSize(sizeOf(labels), pixels);
      for (const box of cellBoxes(labels)) {
        const { id, x0, y0, x1, y1, area } = box;
        const { score, predicted_iou } = cellNumbers(cells, id);
        const { centroid, means } = sums(cells, box, pixels);
        const edge = perimeter(cellMask(labels, box));
        const own = means.slice(0, channels);
        const empty = Array.from({ length: channels - own.length }, () => undefined);
        await file.write(row([image, id, ...centroid, area, edge, x0, y0, x1, y1, score, predicted_iou, ...own, ...empty]));
      }
    },
    commit: () => file.commit(),
    discard: () => file.discard(),
  };
}

const columns = [
  "image",
  "id",
  "centroid_x",
  "centroid_y",
  "area",
  "perimeter",
  "x_min",
  "y_min",
  "x_max",
  "y_max",
  "score",
  "predicted_iou",
];

function row(values: readonly (string | number | undefined)[]): string {
  return `${values.map(field).join(",")}\r\n`;
}

function field(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(Number(value.toPrecision(9)));
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function checkSize([height, width]: [number, number], { shape }: StoredPixels): void {
  if (shape[0] === height && shape[1] === width) return;
  const message = `labels of ${height} x ${width} pixels do not fit an image of ${shape[0]} x ${shape[1]}`;
  throw new CellsamError("ERR_SIZE_MISMATCH", message);
}

/** The centroid of a cell, and the mean of every channel over its pixels. */
function sums({ labels }: Segmentation, { id, x0, y0, x1, y1, area }: CellBox, pixels?: StoredPixels) {
  const { data, shape } = labels;
  const width = shape[1] as number;
  const channels = pixels ? (pixels.shape[2] ?? 1) : 0;
  const means = new Array<number>(channels).fill(0);
  let [x, y] = [0, 0];
  for (let r = y0; r < y1; r++) {
    for (let c = x0; c < x1; c++) {
      const at = r * width + c;
      if (data[at] !== id) continue;
      x += c;
      y += r;
      for (let k = 0; k < channels; k++) means[k] = (means[k] as number) + (pixels?.data[at * channels + k] as number);
    }
  }
  return { centroid: [x / area, y / area], means: means.map((sum) => sum / area) };
}
