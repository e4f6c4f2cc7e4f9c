// Makes the store of tiles that the native row `tiles` reads, from images that the peer has drawn.
import { join } from "node:path";
import { readImage, readLabels } from "../../dist/data/reader.js";
import { openStoreWriter } from "../../dist/engine/storeWriter.js";
import { pictures } from "./decode.mjs";

/** @import { OpenRequest } from "../types.js" */

/** @param {OpenRequest} request */
export async function fixture({ folder }) {
  const writer = await openStoreWriter({ path: join(folder, "tiles.store"), tileSize: 512, normalize: false });
  for (const file of pictures(folder)) {
    const image = await readImage(file.image);
    const labels = await readLabels(file.labels);
    await writer.add({ image, labels, source: file.image });
  }
  await writer.finish();
  await writer.dispose();
}
