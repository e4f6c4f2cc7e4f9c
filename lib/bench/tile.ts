/** The image that is measured and tried with: round cells of one size on a square grid, with noise. */
import { Random } from "../data/random.js";
import type { NdArray } from "../engine/native.js";
import { openStoreWriter } from "../engine/storeWriter.js";

export interface DrawnTile {
  /** Grey, [side,side]. */
  image: NdArray<Uint8Array>;
  /** [side,side]; the cells are 1 to `cells`. */
  labels: NdArray<Int32Array>;
}

export function drawTile(side: number, cells: number): DrawnTile {
  const random = new Random(1);
  const columns = Math.ceil(Math.sqrt(cells));
  const pitch = side / columns;
  const labels = Int32Array.from({ length: side * side }, (_, i) => {
    const [x, y] = [((i % side) + 0.5) / pitch, (Math.floor(i / side) + 0.5) / pitch];
    const id = Math.floor(y) * columns + Math.floor(x) + 1;
    return id <= cells && Math.hypot((x % 1) - 0.5, (y % 1) - 0.5) < 0.35 ? id : 0;
  });
  const image = Uint8Array.from(labels, (id) => (id > 0 ? 150 : 30) + random.integer(0, 40));
  return { image: { data: image, shape: [side, side] }, labels: { data: labels, shape: [side, side] } };
}

/** Writes a store of the one tile. */
export async function storeTile(path: string, { image, labels }: DrawnTile): Promise<void> {
  const writer = await openStoreWriter({ path, tileSize: image.shape[0] as number, normalize: false });
  try {
    await writer.add({ image, labels, source: "drawn" });
    await writer.finish();
  } finally {
    await writer.dispose();
  }
}
