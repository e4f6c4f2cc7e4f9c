/** scores.json of a folder of predictions: what was found in each image, one row an image. */
import { readJson, strictJson } from "../files/json.js";
import { writeChunks } from "../files/writeAtomic.js";

export interface PredictedImage {
  /** Name without extension. */
  image: string;
  /** Path of the label image; null where no format is one. */
  labels: string | null;
  /** Paths of all files of this image. */
  files: string[];
  /** How many cells were found. */
  cells: number;
  /**
   * One entry per cell: its id in the label image, the detection score, the model's own estimate of the mask's IoU, the box as
   * xyxy in pixels.
   */
  instances: { id: number; score: number; iou: number; box: number[] }[];
}

/** The same text as writeJson's, of which one row at a time is in memory. */
export function writeScores(path: string, rows: Iterable<PredictedImage> | AsyncIterable<PredictedImage>): Promise<void> {
  return writeChunks(path, rowTexts(rows));
}

async function* rowTexts(rows: Iterable<PredictedImage> | AsyncIterable<PredictedImage>) {
  let written = 0;
  for await (const row of rows) yield `${written++ === 0 ? "[" : ","}\n  ${strictJson(row).replaceAll("\n", "\n  ")}`;
  yield written === 0 ? "[]\n" : "\n]\n";
}

/** The rows of scores.json; none where it is missing or damaged, which is no error: they are made anew. */
export async function readScores(path: string): Promise<PredictedImage[]> {
  const saved = await readJson(path).catch(() => []);
  return Array.isArray(saved) ? saved.filter(isRow) : [];
}

export function isRow(row: unknown): row is PredictedImage {
  const { image, instances } = (row ?? {}) as Partial<PredictedImage>;
  return typeof image === "string" && Array.isArray(instances);
}
