/** Categories of drawn objects: what a data set holds, and which of them are probably no cells. */
import { type Annotation, type CategoryCount, OBJECT_KINDS } from "./image.js";
import type { DrawnObject, Shape } from "./objects.js";
import type { Problem } from "./problem.js";
import { sharedArea, unionOf } from "./raster.js";

/** Categories with the largest objects, which are looked at as possible regions. */
const MOST_TRIED = 6;

/** The number of objects of each category, and how much of the others' area lies in it. `shapes` are those with pixels. */
export function categoryCounts(
  declared: readonly string[],
  objects: readonly DrawnObject[],
  shapes: readonly Shape[],
): CategoryCount[] {
  const counts = new Map<string, CategoryCount>();
  for (const name of declared) counts.set(name, { name, count: 0, coveredArea: 0, otherArea: 0 });
  for (const { category, categoryId } of objects) {
    if (category === undefined) continue;
    const own = counts.get(category) ?? { name: category, count: 0, coveredArea: 0, otherArea: 0 };
    own.count++;
    if (categoryId !== undefined) own.id = categoryId;
    counts.set(category, own);
  }
  const used = [...counts.values()].filter(({ count }) => count > 0);
  if (used.length < 2) return [...counts.values()];
  const largest = (name: string) =>
    shapes.reduce((most, { category, area }) => (category === name ? Math.max(most, area) : most), 0);
  const tried = used.sort((a, b) => largest(b.name) - largest(a.name)).slice(0, MOST_TRIED);
  for (const one of tried) {
    const own = shapes.filter(({ category }) => category === one.name);
    const covered = unionOf(own.flatMap(({ rows }) => [...rows]));
    for (const { category, rows, area } of shapes) {
      if (category === one.name || category === undefined) continue;
      one.otherArea += area;
      one.coveredArea += sharedArea(covered, rows);
    }
  }
  return [...counts.values()];
}

/** The categories of all images together, those with most objects first. */
function summed(lists: readonly (readonly CategoryCount[])[]): CategoryCount[] {
  const sums = new Map<string, CategoryCount>();
  for (const one of lists.flat()) {
    const sum = sums.get(one.name) ?? { count: 0, coveredArea: 0, otherArea: 0 };
    sums.set(one.name, {
      ...sum,
      ...one,
      count: sum.count + one.count,
      coveredArea: sum.coveredArea + one.coveredArea,
      otherArea: sum.otherArea + one.otherArea,
    });
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
}

const listed = (all: readonly CategoryCount[]) => all.map(({ name, count }) => `${name} ${count}`).join(", ");

/** A warning where objects of several categories count as cells. */
export function categoryNote(
  lists: readonly (readonly CategoryCount[])[],
  wanted: readonly (string | number)[] | null | undefined,
): string[] {
  const all = summed(lists).filter(({ count }) => count > 0);
  if (wanted || all.length < 2) return [];
  const [most] = all;
  // A cell holds one nucleus: a category with as many objects as the others is another outline of them, and no region.
  const regions = all.filter(
    (one) =>
      one.otherArea > 0 &&
      one.coveredArea > 0.5 * one.otherArea &&
      one.count * 3 <= all.reduce((sum, { count }) => sum + count, 0),
  );
  const names = regions.map(({ name }) => name).join(", ");
  const tissue =
    regions.length > 0 ? `; ${names} covers most of the others, as an outline of the tissue or of a region does` : "";
  return [
    `the objects have ${all.length} categories: ${listed(all)}${tissue}; say which are cells, such as categories: [${most?.name}]; now all are taken`,
  ];
}

/** A problem where a category that the configuration names is in no file. */
export function unknownCategories(
  pairs: readonly { mask?: string; annotation?: Annotation; categories: readonly CategoryCount[] }[],
  wanted: readonly (string | number)[] | null | undefined,
): Problem[] {
  const drawn = pairs.filter(({ annotation }) => OBJECT_KINDS.some((kind) => kind === annotation));
  if (!wanted || drawn.length === 0) return [];
  const all = summed(drawn.map(({ categories }) => categories));
  const unknown = wanted.map(String).filter((name) => !all.some((one) => one.name === name || one.id === name));
  if (unknown.length === 0) return [];
  const there = all.length > 0 ? `there are ${listed(all)}` : "the objects have no categories";
  return [
    {
      code: "ERR_ANNOTATION",
      path: drawn[0]?.mask ?? "",
      message: `there is no category ${unknown.join(", ")}; ${there}`,
      fix: "correct categories in the configuration",
    },
  ];
}
