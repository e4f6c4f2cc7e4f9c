/** Facts about folders of images and masks, as sentences for the head of a new configuration. */

import { CellsamError } from "../errors.js";
import { type Dataset, type DatasetConfig, loadDataset } from "./dataset.js";
import type { Relabel } from "./image.js";
import type { Problem } from "./problem.js";

export interface DataFacts {
  facts: string[];
  /** Settings without which the masks cannot be read. */
  settings: { binaryMasks?: boolean; relabel?: Relabel };
  /** A summary of the problems, where there are some. */
  problem?: string;
}

/** Reads the data as a run with these settings does. Broken data are reported in `problem`, not thrown. */
export async function dataFacts(config: DatasetConfig): Promise<DataFacts> {
  const check = async (settings: DataFacts["settings"]): Promise<Dataset | Problem[]> => {
    try {
      return await loadDataset({ ...config, ...settings });
    } catch (error) {
      if (error instanceof CellsamError && error.code === "ERR_DATASET") return error.detail.problems as Problem[];
      throw error;
    }
  };
  const asLabels = await check({});
  if (!Array.isArray(asLabels)) return { facts: described(asLabels), settings: {} };
  const settings = asLabels[0]?.settings ?? { binaryMasks: true };
  const mended = await check(settings);
  if (!Array.isArray(mended)) {
    const how =
      "relabel" in settings
        ? "The masks hold classes: each connected region of a class is a cell."
        : "The masks are foreground masks: each connected region is a cell.";
    return { facts: [...described(mended), how], settings };
  }
  const few = asLabels.slice(0, 3).map(({ path, message }) => `${path}: ${message}${message.endsWith("?") ? "" : "."}`);
  const count = asLabels.length === 1 ? "one problem" : `${asLabels.length} problems`;
  const problem = `The data have ${count}; \`cellsam plan\` lists all.`;
  return { facts: [problem, ...few], settings: {}, problem: [problem, ...few].join("\n  ") };
}

function described({ pairs, trainingOnly, notes, warnings }: Dataset): string[] {
  const cells = pairs.reduce((sum, pair) => sum + pair.cells, 0);
  const count = (value: (pair: (typeof pairs)[number]) => string) => {
    const counts = new Map<string, number>();
    for (const pair of pairs) counts.set(value(pair), (counts.get(value(pair)) ?? 0) + 1);
    return [...counts].map(([name, n]) => `${n} ${name}`).join(", ");
  };
  const sides = pairs.flatMap(({ height, width }) => [height, width]);
  return [
    `${pairs.length} images with ${cells} cells: ${count(({ channels }) => (channels === 3 ? "RGB" : "grey"))}; ${count(({ dtype }) => dtype)}.`,
    `Sides are ${Math.min(...sides)} to ${Math.max(...sides)} pixels.`,
    ...(trainingOnly.length > 0 ? [`${trainingOnly.length} images of additional_datasets only train.`] : []),
    ...warnings.map((warning) => `${warning}.`),
    ...notes.slice(0, 5).map((note) => `${note}.`),
  ];
}
