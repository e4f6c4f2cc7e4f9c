// A fresh process up to the end of its first training step of `tiny`; first_step.mjs is that process.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Random } from "../../dist/data/random.js";
import { drawField } from "../../dist/data/synthetic.js";
import { openStoreWriter } from "../../dist/engine/storeWriter.js";

/** @import { OpenRequest, PackageRow } from "../types.js" */

const side = 128;

/** @param {OpenRequest} request */
export async function fixture({ folder }) {
  const { pixels, labels } = drawField(new Random(1), side);
  const writer = await openStoreWriter({ path: join(folder, "tiles.store"), tileSize: side, normalize: false });
  await writer.add({
    image: { data: pixels, shape: [side, side] },
    labels: { data: labels, shape: [side, side] },
    source: "one",
  });
  await writer.finish();
  await writer.dispose();
}

/**
 * @param {OpenRequest} request
 * @returns {Promise<PackageRow>}
 */
export async function open({ folder, device, threads }) {
  const program = join(import.meta.dirname, "first_step.mjs");
  const run = async () => {
    await promisify(execFile)(process.execPath, [program, join(folder, "tiles.store"), device, String(threads)]);
    return {};
  };
  return { run, check: run };
}
