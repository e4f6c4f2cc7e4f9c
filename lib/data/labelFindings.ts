/**
 * What the masks of a data set say together: ids that are no cells, a background that counts as a cell, specks. One mask alone
 * proves little, since a cell may lie in two parts; what is the rule in most masks is refused, the rest is a warning. Plan,
 * training, prediction and evaluation show the same sentences.
 */
import { basename } from "node:path";
import type { Annotation, Relabel } from "./image.js";
import type { LabelFacts } from "./labelFacts.js";
import type { Problem } from "./problem.js";

export interface MaskFacts {
  path: string;
  /** A label image, where one id should be one region; objects of annotations may have several parts. */
  numbered: boolean;
  facts: LabelFacts;
}

/** Whether annotations of this kind number their cells; absent: a label image. */
export function isNumbered(annotation: Annotation | undefined): boolean {
  return annotation === undefined || ["label_images", "cellpose", "ome_zarr"].includes(annotation);
}

export interface FindingRules {
  binaryMasks?: boolean;
  backgroundLabel?: number | null;
  relabel?: Relabel;
  minCellArea?: number;
}

export interface Findings {
  problems: Problem[];
  warnings: string[];
  notes: string[];
}

/** So many of the 255 ids of 8 bit must be in use before it is said that numbers were cut. */
const NEARLY_ALL = 250;
/** Masks of more ids than this are hardly masks of classes. */
const MOST_CLASSES = 20;

/** @param masks those that were read, without masks that failed */
export function labelFindings(masks: readonly MaskFacts[], rules: FindingRules = {}): Findings {
  const filled = masks.filter(({ facts }) => facts.ids > 0);
  const found: Findings = { problems: [], warnings: [], notes: [] };
  const inverted = rules.backgroundLabel == null && background(filled, rules, found);
  if (!inverted) {
    if (!rules.binaryMasks && (rules.relabel ?? "check") === "check") separateRegions(filled, found);
    if (found.problems.length === 0) specks(filled, rules, found);
  }
  return found;
}

function problem(path: string, message: string, fix: string): Problem {
  return { code: "ERR_LABEL_VALUES", path, message, fix };
}

/** A path, and how many more. */
function some(masks: readonly MaskFacts[]): string {
  const first = basename(masks[0]?.path ?? "");
  return masks.length === 1 ? first : `${first} and ${masks.length - 1} more`;
}

/** An annotation has no number for its background, so that an object of its size was drawn. @returns whether it is the rule */
function background(all: readonly MaskFacts[], { binaryMasks }: FindingRules, { problems, warnings }: Findings): boolean {
  const masks = all.filter(({ numbered }) => numbered);
  const covered = masks.flatMap((mask) => (mask.facts.background ? [{ mask, ...mask.facts.background }] : []));
  if (covered.length === 0) return false;
  const rule = covered.length > masks.length / 2;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  if (!rule) {
    const [{ mask, id, share } = { mask: undefined, id: 0, share: 0 }] = covered;
    warnings.push(
      `in ${some(covered.map((one) => one.mask))} a single cell touches all four borders (${basename(mask?.path ?? "")}: ${binaryMasks ? "one region" : `id ${id}`}, ${percent(share)} of the image): if it is the background, give it the value 0`,
    );
    return false;
  }
  for (const { mask, id, share } of covered) {
    const what = binaryMasks
      ? `one region touches all four borders and covers ${percent(share)} of the image: the mask is inverted`
      : `id ${id} touches all four borders and covers ${percent(share)} of the image: the mask is inverted, or its background has an id (a watershed numbers it 1)`;
    const fix = binaryMasks
      ? `set \`background_label: ${id}\`, which inverts it, or save it with a background of 0`
      : `set \`background_label: ${id}\`, or save it with a background of 0`;
    problems.push(problem(mask.path, what, `${fix} (\`background_label: 0\` if it is a cell)`));
  }
  return true;
}

function separateRegions(masks: readonly MaskFacts[], found: Findings): void {
  const numbered = masks.filter((mask) => mask.numbered);
  const cut = numbered.filter(({ facts }) => facts.highest === 255 && facts.ids >= NEARLY_ALL && facts.divided >= 3);
  const classes = numbered.filter(({ facts }) => facts.divided > facts.ids / 2 && facts.regions >= 2 * facts.ids);
  const sum = (value: (facts: LabelFacts) => number, of: readonly MaskFacts[]) =>
    of.reduce((total, { facts }) => total + value(facts), 0);
  const onlyId = numbered.every(({ facts }) => facts.ids === 1 && facts.highest === numbered[0]?.facts.highest);
  const few = numbered.every(({ facts }) => facts.ids <= MOST_CLASSES);
  // An image of one cell in two parts is possible; masks of one and the same id that mostly have several are masks of foreground.
  const enough = few ? 2 : 2.5;
  const parts =
    sum(({ regions }) => regions, classes) /
    Math.max(
      1,
      sum(({ ids }) => ids, classes),
    );
  if (classes.length > numbered.length / 2 && parts >= enough) {
    for (const mask of classes) found.problems.push(classProblem(mask, cut.includes(mask), onlyId));
    return;
  }
  if (cut.length > 0) {
    const { path, facts } = cut[0] as MaskFacts;
    found.warnings.push(
      `the numbers of cells were cut to 8 bit in ${some(cut)} (${basename(path)}: ${facts.divided} of ${facts.ids} ids stand for cells far apart, and every 256th cell became background): save the labels again as 16 bit`,
    );
  }
  const split = numbered.filter((mask) => mask.facts.split > 0 && !cut.includes(mask));
  if (split.length > 0) {
    const worst = split.reduce((most, mask) => (mask.facts.split > most.facts.split ? mask : most));
    const ids = worst.facts.examples.join(", ") + (worst.facts.split > worst.facts.examples.length ? ", ..." : "");
    found.warnings.push(
      `${sum((facts) => facts.split, split)} ids lie in several separate regions and count as one cell each, in ${split.length} of ${numbered.length} masks (${basename(worst.path)}: ${ids}): correct the masks, or set relabel: connected (each region is a cell) or relabel: keep (one cell, no warning)`,
    );
  }
}

function classProblem({ path, facts }: MaskFacts, cut: boolean, onlyId: boolean): Problem {
  if (cut) {
    const message = `${facts.divided} of ${facts.ids} ids stand for cells far apart: their numbers were cut to 8 bit, and every 256th cell became background`;
    return problem(path, message, "save the labels again as 16 bit");
  }
  if (onlyId || facts.ids === 1) {
    const message = `its only id, ${facts.highest}, covers ${facts.regions} separate regions, so it is a foreground mask, not a label map`;
    const fix =
      "set `binary_masks: true` to make every 4-connected region a cell; cells that touch become one (`relabel: keep` if it is one cell)";
    return { ...problem(path, message, fix), settings: { binaryMasks: true } };
  }
  const message = `its ${facts.ids} ids cover ${facts.regions} separate regions, so they look like classes, not like numbers of cells`;
  const fix =
    "set `relabel: connected` to make every 4-connected region of an id a cell, or `binary_masks: true` to make one of all ids together (`relabel: keep` if cells have so many parts)";
  return { ...problem(path, message, fix), settings: { relabel: "connected" } };
}

function specks(masks: readonly MaskFacts[], { minCellArea = 0 }: FindingRules, { warnings, notes }: Findings): void {
  const removed = masks.reduce((sum, { facts }) => sum + facts.removed, 0);
  if (removed > 0) notes.push(`min_cell_area left out ${removed} cells of fewer than ${minCellArea} pixels`);
  if (minCellArea > 0) return;
  // Each image is its own scale: cells of a low magnification are no specks beside those of a high one.
  const limits = masks.filter(({ facts }) => facts.specks > 0).map(({ facts }) => facts.speckArea);
  const smallest = Math.min(...limits);
  const areas = masks.flatMap(({ facts }) => facts.areas).sort((a, b) => a - b);
  const small = areas.filter((area) => area < smallest).length;
  const specked = masks.reduce((sum, { facts }) => sum + facts.specks, 0);
  if (Math.min(small, specked) < 2 || specked < areas.length / 200) return;
  const others = areas.filter((area) => area >= smallest);
  warnings.push(
    `${small} of ${areas.length} cells are smaller than ${smallest} pixels (median of the others ${others[Math.floor(others.length / 2)]}): likely slips of drawing; min_cell_area: ${smallest} leaves them out`,
  );
}
