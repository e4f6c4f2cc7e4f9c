/** What is counted of one mask while it is read. labelFindings.ts judges it together with the other masks of a data set. */
import { type IdRegions, idRegions } from "./regions.js";

export interface LabelFacts {
  /** Ids above 0, and the highest. */
  ids: number;
  highest: number;
  /** Ids in more than one region, without specks. */
  split: number;
  /** Ids with a second region that is no speck beside the largest. */
  divided: number;
  /** All regions that are no specks beside the largest of their id. */
  regions: number;
  /** Up to five ids of `split`, those of most regions first. */
  examples: number[];
  /**
   * The id (of foreground masks their value) that touches all four borders and covers most of the image, and the share that it
   * covers.
   */
  background: { id: number; share: number } | null;
  /** Areas of the ids in pixels, ascending. */
  areas: number[];
  /** Cells of fewer pixels are specks beside the others. */
  speckArea: number;
  /** How many specks there are, without those at the border of the image, which may leave any piece of a cell. */
  specks: number;
  /** Cells that `min_cell_area` removed. */
  removed: number;
}

/** Cells smaller than the typical area divided by this are specks. */
const SPECK = 20;

/**
 * Cells of fewer pixels are specks. The typical area is that at which half of all cell pixels lie in cells that are at least so
 * large: a thousand specks do not change it.
 */
function speckArea(ascending: readonly number[]): number {
  let left = ascending.reduce((sum, area) => sum + area, 0) / 2;
  for (const area of ascending) {
    left -= area;
    if (left <= 0) return Math.floor(area / SPECK);
  }
  return 0;
}

/** A second region that is smaller than this share of the largest is a stray piece. */
const PIECE = 0.1;
/** An id that touches all borders and covers more than this is taken for background. */
const MOST = 0.5;

export function labelFacts(
  { data, shape, foreground }: { data: Int32Array; shape: readonly [number, number]; foreground?: number },
  removed = 0,
): LabelFacts | null {
  const [height, width] = shape;
  const found = idRegions(data, height, width);
  if (!found) return null;
  const entries = [...found];
  const divided = ({ second, largest }: IdRegions) => second >= Math.max(PIECE * largest, 2);
  const areas = entries.map(([, { area }]) => area).sort((a, b) => a - b);
  const speck = speckArea(areas);
  const split = entries
    .filter(([, { regions, area }]) => regions > 1 && area >= speck)
    .sort((a, b) => b[1].regions - a[1].regions);
  const background = entries.find(([, { borders, area }]) => borders === 15 && area > MOST * height * width);
  return {
    ids: entries.length,
    highest: entries.reduce((highest, [id]) => Math.max(highest, id), 0),
    split: split.length,
    divided: split.filter(([, one]) => divided(one)).length,
    regions: entries.reduce((sum, [, one]) => sum + (divided(one) ? one.regions : 1), 0),
    examples: split.slice(0, 5).map(([id]) => id),
    background: background ? { id: foreground ?? background[0], share: background[1].area / (height * width) } : null,
    areas,
    speckArea: speck,
    specks: entries.filter(([, { borders, area }]) => borders === 0 && area < speck).length,
    removed,
  };
}
