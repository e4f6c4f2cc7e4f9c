/** What the counts on the pretend device are made of. */
import { join } from "node:path";
import { ellipses, storeOf } from "../unit/training-tiles.js";

export const image = join(import.meta.dirname, "../../examples/nuclei/images/dsb_2c61fdcb36fd.png");

/** A store of as many tiles as work_child.mjs trains on, in `folder`. */
export function fiveTiles(folder: string): Promise<string> {
  const tiles = [3, 5, 7, 9, 4].map((cells, i) => ellipses(i + 1, cells));
  return storeOf(tiles, join(folder, "tiles"));
}
