/** Warnings about a plan, each with what to do. */
import type { ExperimentConfig } from "../config/experiment.js";
import { systemMemory } from "../runtime/systemMemory.js";
import type { Plan } from "./plan.js";

/** Diameter in pixels below which the network can hardly resolve a cell: a patch is 16 pixels of the input of 1024. */
const smallest = 8;

export function warningsOf(config: ExperimentConfig, plan: Plan): string[] {
  const { images, cells, duplicates, tiles, queries, disk, splits, probe } = plan;
  const found: (string | false)[] = [
    queries !== null &&
      tiles.perTile.max > queries &&
      `a tile holds ${tiles.perTile.max} cells, but at most ${queries} can be found in one: use a smaller tile_size`,
    queries !== null &&
      tiles.perTile.max <= queries &&
      tiles.perTile.max * 3 > queries &&
      `a tile holds ${tiles.perTile.max} cells, near the ${queries} that can be found in one: a smaller tile_size is safer`,
    cells.diameter.median > 0 &&
      cells.diameter.median < smallest &&
      `half of the cells measure less than ${cells.diameter.median.toFixed(1)} pixels across: enlarge the images`,
    // A few do not pay: the network sees every cell smaller in a larger tile, and small cells are harder to find.
    cells.large > cells.count / 20 &&
      `${cells.large} of ${cells.count} cells measure more than half of a tile: use a larger tile_size, such as ${tiles.size * 2}`,
    cells.count > 0 &&
      cells.cut > cells.count / 10 &&
      `${cells.cut} of ${cells.count} cells are seen only in parts, since every tile cuts them: use a larger tile_size or tile_overlap`,
    tiles.empty > tiles.count / 2 && `${tiles.empty} of ${tiles.count} tiles hold no cell`,
    images.grey > 0 &&
      images.rgb > 0 &&
      !sameChannels(config) &&
      `${images.grey} images are grey and ${images.rgb} are in colour, which reach the model in different channels: grey_channel: all, or rgb_transform: true, shows both in the same`,
    Object.keys(images.types).length > 1 &&
      `the images have different pixel types (${Object.keys(images.types).join(", ")}): check that all show cells as bright`,
    disk.freeBytes !== null &&
      disk.storeBytes + (disk.modelBytes ?? 0) > disk.freeBytes &&
      `the tiles and models need ${gigabytes(disk.storeBytes + (disk.modelBytes ?? 0))}, ${config.outputDir} has ${gigabytes(disk.freeBytes)} left`,
    duplicates.acrossSides > 0 &&
      `${duplicates.acrossSides} pairs of near-duplicate images are on two sides of a split: set group_duplicates: true`,
    splits.some(({ val }) => val.images > 0 && val.images < 5) &&
      "fewer than 5 images validate: their scores will be very uncertain",
    config.weights === null &&
      config.size !== "tiny" &&
      `no weights are given, so ${config.size} would start with random weights`,
    probe !== null &&
      probe.processMb * 2 ** 20 > systemMemory().total &&
      `the probe used ${probe.processMb.toFixed(0)} MiB, about all that this machine has`,
    probe?.precision === "fp32" &&
      probe.suitedPrecision === "bf16" &&
      "precision is fp32; the GPU multiplies faster in bf16, which precision: auto takes",
    probe?.busy != null &&
      probe.busy > 0.5 &&
      "other programs use more than half of this machine's processors: the forecast assumes that it stays as busy",
  ];
  return found.filter((message) => message !== false);
}

/** Whether grey and colour images look alike to the model: both in all channels, or both in blue alone. */
function sameChannels({
  greyChannel,
  rgbTransform,
  nuclearChannel,
  wholeCellChannel,
  stainTransform,
}: ExperimentConfig): boolean {
  return rgbTransform || (greyChannel === "all" && !nuclearChannel && !wholeCellChannel && !stainTransform);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
