/** What a look at folders of images and masks tells, in sentences, for the head of a new configuration. */
import { type CheckedDataset, checkDataset } from "../data/check.js";
import { discover } from "../data/discover.js";
import type { Problem } from "../data/problem.js";
import { CellsamError } from "../errors.js";

export interface DataFacts {
  facts: string[];
  /** The masks can only be read as foreground masks. */
  binaryMasks: boolean;
}

/** Broken data are a fact too: nothing is thrown for them. */
export async function dataFacts(imgPath: string, maskPath: string): Promise<DataFacts> {
  const found = await discover({ imgPath, maskPath });
  const check = async (binaryMasks: boolean): Promise<CheckedDataset | Problem[]> => {
    try {
      return await checkDataset(found.pairs, { binaryMasks, problems: found.problems });
    } catch (error) {
      if (error instanceof CellsamError && error.code === "ERR_DATASET") return error.detail.problems as Problem[];
      throw error;
    }
  };
  const asLabels = await check(false);
  if (!Array.isArray(asLabels)) return { facts: described(asLabels), binaryMasks: false };
  const asForeground = await check(true);
  if (!Array.isArray(asForeground)) {
    return {
      facts: [...described(asForeground), "The masks are foreground masks: each connected region is a cell."],
      binaryMasks: true,
    };
  }
  const few = asLabels.slice(0, 3).map(({ path, message }) => `${path}: ${message}.`);
  return { facts: [`The data have ${asLabels.length} problems; \`cellsam plan\` lists them all.`, ...few], binaryMasks: false };
}

function described({ pairs, cells }: CheckedDataset): string[] {
  const count = (value: (pair: (typeof pairs)[number]) => string) => {
    const counts = new Map<string, number>();
    for (const pair of pairs) counts.set(value(pair), (counts.get(value(pair)) ?? 0) + 1);
    return [...counts].map(([name, n]) => `${n} ${name}`).join(", ");
  };
  const sides = pairs.flatMap(({ height, width }) => [height, width]);
  return [
    `${pairs.length} images with ${cells} cells: ${count(({ channels }) => (channels === 3 ? "RGB" : "grey"))}; ${count(({ dtype }) => dtype)}.`,
    `Sides are ${Math.min(...sides)} to ${Math.max(...sides)} pixels.`,
  ];
}
