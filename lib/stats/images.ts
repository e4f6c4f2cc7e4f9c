/** Compares two models by the images that both measured, each image with the same weight. */
import { type Comparison, comparePaired } from "./compare.js";
import { type Numbers, numbersOf } from "./folds.js";
import { meanOrNull } from "./summary.js";

/** A row of per_image.json, with its names in camelCase. */
export interface MeasuredImage {
  image: string;
  metrics: object;
  meanPromptIou: number | null;
}

/** Scores by image; the mean for an image that was measured in several folds. */
export function scoresByImage(rows: readonly MeasuredImage[]): Map<string, Numbers> {
  const byImage = new Map<string, Numbers[]>();
  for (const { image, metrics, meanPromptIou } of rows)
    byImage.set(image, [...(byImage.get(image) ?? []), { ...numbersOf(metrics), meanPromptIou }]);
  return new Map([...byImage].map(([image, all]) => [image, averaged(all)]));
}

function averaged(rows: readonly Numbers[]): Numbers {
  const names = Object.keys(rows[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = rows.map((row) => row[name] ?? null).filter((value) => value !== null);
      return [name, meanOrNull(values)];
    }),
  );
}

/** Tests b against a on the images that both have, in the order of their names; null where there is none. */
export function compareImages(a: ReadonlyMap<string, Numbers>, b: ReadonlyMap<string, Numbers>): Comparison | null {
  const names = [...a.keys()].filter((name) => b.has(name)).sort();
  if (names.length === 0) return null;
  const rows = (side: ReadonlyMap<string, Numbers>) => names.map((name) => side.get(name) as Numbers);
  return comparePaired(rows(a), rows(b), { unit: "image" });
}
