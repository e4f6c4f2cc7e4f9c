/** Label maps as TIFF files of studio's own, which are written while the server goes on answering. */
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import { decodeStored } from "../data/decode.js";
import { assembleTiff, stripRows } from "../data/formats/tiffWriter.js";
import { CellsamError } from "../errors.js";
import { writeAtomic } from "../files/writeAtomic.js";

const deflateStrip = promisify(deflate);

interface LabelImage {
  data: Int32Array;
  width: number;
  height: number;
  /** The id that each cell gets in the file. Default: its own. */
  rank?: ReadonlyMap<number, number>;
}

/**
 * Writes a label map, or nothing when `current` turns false meanwhile, which is returned; compresses on other threads.
 * @throws CellsamError ERR_FILE
 */
export async function writeLabelFile(path: string, image: LabelImage, current: () => boolean = () => true): Promise<boolean> {
  const { width, height, rank } = image;
  const Samples = highestOf(image) > 65535 ? Uint32Array : Uint16Array;
  const strips: Buffer[] = [];
  for (let y = 0; y < height; y += stripRows) {
    const ids = image.data.subarray(y * width, Math.min(y + stripRows, height) * width);
    const samples = new Samples(ids.length);
    for (let start = 0; start < ids.length; ) {
      const id = ids[start] as number;
      let end = start + 1;
      while (end < ids.length && ids[end] === id) end++;
      if (id > 0) samples.fill(rank?.get(id) ?? id, start, end);
      start = end;
    }
    strips.push(await deflateStrip(Buffer.from(samples.buffer), { level: 1 }));
    if (!current()) return false;
  }
  await writeAtomic(path, assembleTiff(strips, { height, width, bits: 8 * Samples.BYTES_PER_ELEMENT }));
  return true;
}

function highestOf({ data, rank }: LabelImage): number {
  if (rank) return rank.size;
  let highest = 0;
  for (const id of data) if (id > highest) highest = id;
  return highest;
}

/**
 * The ids of a file of `writeLabelFile`, or of a prediction. @throws CellsamError as decodeStored, ERR_FILE for another size
 */
export async function readLabelFile(path: string, { width, height }: { width: number; height: number }): Promise<Int32Array> {
  const { data, shape } = await decodeStored(path);
  if (shape[0] !== height || shape[1] !== width) {
    const message = `${path} has ${shape[1]} x ${shape[0]} pixels, its image ${width} x ${height}; remove the file, or restore the image`;
    throw new CellsamError("ERR_FILE", message, { detail: { path } });
  }
  return new Int32Array(data);
}
