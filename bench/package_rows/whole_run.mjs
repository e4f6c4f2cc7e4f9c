// Stage 2 through the package, tile by tile: the time of a tile in its first epoch, and in a later one.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../dist/data/random.js";
import { openSession } from "../../dist/engine/session.js";
import { openStoreWriter } from "../../dist/engine/storeWriter.js";

/** @import { OpenRequest, PackageRow } from "../types.js" */

const side = 512;
/** Enough for a check and every repetition: a tile is cold only once. */
const tiles = 24;

/** @param {OpenRequest} request */
export async function fixture({ folder, parameters }) {
  const writer = await openStoreWriter({ path: join(folder, "tiles.store"), tileSize: side, normalize: false });
  for (let i = 0; i < tiles; i++) {
    const { pixels, labels } = field(new Random(i), parameters.cells ?? 0);
    await writer.add({
      image: { data: pixels, shape: [side, side, 3] },
      labels: { data: labels, shape: [side, side] },
      source: `${i}`,
    });
  }
  await writer.finish();
  await writer.dispose();
}

/**
 * A noisy field with exactly so many discs on a grid.
 * @param {Random} random
 * @param {number} cells
 */
function field(random, cells) {
  const pixels = Uint8Array.from({ length: side * side * 3 }, () => 20 + 40 * random.uniform());
  const labels = new Int32Array(side * side);
  const columns = Math.ceil(Math.sqrt(cells));
  const pitch = side / columns;
  for (let cell = 0; cell < cells; cell++) {
    const radius = (0.2 + 0.2 * random.uniform()) * pitch;
    const [y, x] = [(Math.floor(cell / columns) + 0.5) * pitch, ((cell % columns) + 0.5) * pitch];
    for (let row = Math.ceil(y - radius); row <= y + radius; row++) {
      for (let column = Math.ceil(x - radius); column <= x + radius; column++) {
        if ((row - y) ** 2 + (column - x) ** 2 > radius ** 2) continue;
        labels[row * side + column] = cell + 1;
        pixels.fill(150 + (cell % 7) * 15, 3 * (row * side + column), 3 * (row * side + column) + 3);
      }
    }
  }
  return { pixels, labels };
}

/**
 * @param {OpenRequest} request
 * @returns {Promise<PackageRow>}
 */
export async function open({ folder, device, threads, precision, parameters }) {
  const overrides = parameters.image_size ? { imageSize: parameters.image_size } : {};
  const session = await openSession({ size: "vit_b", device, threads, precision, overrides });
  const features = mkdtempSync(join(folder, "features-"));
  process.on("exit", () => rmSync(features, { recursive: true, force: true }));
  const cache = { featureCacheDir: features, featureCacheVersion: "bench" };
  await session.beginStage({ stage: 2, epochs: 20, stepsPerEpoch: 200, ...cache });
  let next = 0;
  /** @type {(tile: number, number: number) => Promise<import("../types.js").Times>} */
  const epoch = async (tile, number) => {
    const start = { wall: performance.now() / 1e3, cpu: cpu() };
    await session.trainEpoch({
      store: join(folder, "tiles.store"),
      indices: Int32Array.of(tile),
      epoch: number,
      batchSize: 1,
      augment: false,
    });
    return { wall: performance.now() / 1e3 - start.wall, cpu: cpu() - start.cpu };
  };
  /** One tile that no epoch has seen, then the same again. */
  const run = async () => {
    const tile = next++ % tiles;
    return { cold: await epoch(tile, 1), warm: await epoch(tile, 2) };
  };
  return {
    run,
    async check() {
      await run();
      return {};
    },
  };
}

function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
