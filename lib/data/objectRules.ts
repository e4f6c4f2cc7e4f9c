/**
 * Decides by their meaning which drawn objects are cells, and paints them: the same rules for every kind of annotation. What
 * loses more than half of the cells of an image is refused; what loses less is told as a tally.
 */
import { CellsamError } from "../errors.js";
import { categoryCounts } from "./categories.js";
import { misplaced } from "./coordinates.js";
import { annotation } from "./formats/limits.js";
import type { LabelMap, ObjectOptions } from "./image.js";
import type { Drawing, DrawnObject, Outline, Shape, Slip } from "./objects.js";
import { drawnTwice, regionsAmong } from "./overlaps.js";
import type { Tally } from "./problem.js";
import { areaOf, eachRow, rasterizer } from "./raster.js";
import { tally } from "./tally.js";

type Size = readonly [height: number, width: number];

/** What is told of the objects of one image, and what is lost with them. */
interface Findings {
  told: Tally[];
  lost: Tally[];
  lostObjects: number;
}

const slips: Record<Slip, { what: string; fix: string }> = {
  boxOnly: {
    what: "objects with a box and no outline",
    fix: "draw their outlines, or set without_outline: leave_out, or ignore, which makes the boxes regions to ignore",
  },
  broken: {
    what: "objects whose outline cannot be read",
    fix: "repair the outlines, or set without_outline: leave_out, or ignore, which makes their boxes regions to ignore",
  },
  fewPoints: { what: "objects with fewer than 3 points, left out", fix: "draw them again, or remove them" },
  noArea: { what: "points and lines, which outline no area, left out", fix: "draw the cells as polygons" },
  partLost: { what: "objects with a part of fewer than 3 points, which is left out", fix: "remove the part" },
  textNumber: { what: "objects with numbers written as text, read as numbers", fix: "write them as numbers" },
};
/** Cells are there and would become background: not without a decision of the user. */
const needsDecision: readonly Slip[] = ["boxOnly", "broken"];

/** Objects of which less is left when all are painted are told. */
const LEAST_VISIBLE = 0.2;

/**
 * Returns the label map of the objects: ids 1..N in the order of the file. Large objects are painted first, so that smaller ones
 * lie on top; regions to ignore (-1) before all. An object that is drawn twice counts once; a region that was drawn around the
 * cells is left out.
 *
 * @param size [height, width] of the label map
 * @throws CellsamError ERR_ANNOTATION with `detail.tallies` of everything that loses cells
 */
export function objectsToLabels(
  { objects, categories: declared = [], notes = [] }: Drawing,
  size: Size,
  options: ObjectOptions = {},
): LabelMap {
  const { categories, withoutOutline = "error" } = options;
  const wanted = categories && new Set(categories);
  const chosen = objects.filter(
    ({ category, categoryId = category, ignore }) =>
      !wanted || (category === undefined ? ignore : wanted.has(category) || wanted.has(categoryId as string)),
  );
  const drawn = chosen.filter(({ ignore, region }) => !ignore && !region);
  const rowsOf = rasterizer(size);
  const shapeOf = (object: DrawnObject, area: Outline): Shape => {
    const rows = rowsOf(area);
    return { ...object, rows, area: areaOf(rows) };
  };
  const found: Findings = { told: [], lost: [], lostObjects: 0 };
  const say = (what: string, list: readonly DrawnObject[], more: Pick<Tally, "hint" | "expected"> = {}) => {
    if (list.length > 0) found.told.push(tally(what, namesOf(list), Math.max(drawn.length, list.length), more));
  };

  findSlips(drawn, withoutOutline, found);
  say(
    "regions to ignore without a usable outline, left out",
    chosen.filter(({ ignore, outline }) => ignore && !outline),
  );
  const around = chosen.filter(({ region }) => region);
  say("annotations around the cells, which were left out", around, { expected: true });
  const shapes = outlines(drawn, options.outline ?? "cell", say).map(([object, area]) => shapeOf(object, area));
  const { regions, holders } = regionsAmong(shapes, size, wanted);
  say("objects that contain nearly all others: regions, which were left out", [...regions], { expected: true });
  const within = shapes.filter((shape) => !regions.has(shape));
  const twice = drawnTwice(within);
  const [repeated, cells] = [within.filter((shape) => twice.has(shape)), within.filter((shape) => !twice.has(shape))];
  say("objects that were drawn twice, and count once", repeated);
  say(
    "objects that contain 3 or more others, and count as cells",
    cells.filter((shape) => holders.has(shape)),
    { hint: "if they are regions, remove them, or choose categories" },
  );
  say("rectangles, taken for outlines", cells.filter(isRectangle), { hint: "are these boxes around the cells?" });

  const boxes = withoutOutline === "ignore" ? drawn.filter(({ outline, box }) => !outline && box) : [];
  const background = [
    ...chosen.flatMap((object) => (object.ignore && object.outline ? [shapeOf(object, object.outline)] : [])),
    ...boxes.map((object) => shapeOf(object, { polygons: [[cornersOf(object.box as NonNullable<DrawnObject["box"]>)]] })),
  ];
  const map = paint(cells, background, size);
  const visible = cells.map((_, i) => map.visible[i + 1] as number);
  findLost(cells, visible, drawn.length, size, found);
  if (found.lostObjects * 2 > drawn.length - repeated.length - regions.size) throw refusal(found.lost);
  const undecided = found.lost.filter(({ what }) => needsDecision.some((slip) => slips[slip].what === what));
  if (undecided.length > 0) throw refusal(undecided);
  say(
    "objects of which smaller ones on top leave less than a fifth",
    cells.filter(({ area }, i) => (visible[i] as number) > 0 && (visible[i] as number) < LEAST_VISIBLE * area),
  );
  const counted = objects.filter(({ region, ignore }) => !region && !ignore);
  return {
    data: map.data,
    shape: [...size],
    count: visible.filter((pixels) => pixels > 0).length,
    notes: [...notes],
    tallies: [...found.told, ...found.lost],
    categories: categoryCounts(declared, counted, shapes),
  };
}

const namesOf = (list: readonly DrawnObject[]) => list.map(({ name }) => name);

function refusal(tallies: Tally[]): CellsamError {
  return new CellsamError("ERR_ANNOTATION", tallies.map(({ what, count, of }) => `${what}: ${count} of ${of}`).join(", "), {
    detail: { tallies },
  });
}

/** What is wrong with the objects as they stand in the file. */
function findSlips(drawn: readonly DrawnObject[], withoutOutline: string, found: Findings): void {
  for (const slip of Object.keys(slips) as Slip[]) {
    const own = drawn.filter((object) => object.slips?.includes(slip));
    if (own.length === 0) continue;
    const { what, fix } = slips[slip];
    const without = own.filter(({ outline }) => !outline).length;
    if (needsDecision.includes(slip) && withoutOutline !== "error") {
      const fate = withoutOutline === "ignore" ? "whose boxes are ignored" : "left out";
      found.told.push(tally(`${what}, ${fate}`, namesOf(own), drawn.length));
    } else if (without === 0) {
      found.told.push(tally(what, namesOf(own), drawn.length, { fix, ...(slip === "textNumber" && { expected: true }) }));
    } else {
      found.lost.push(tally(what, namesOf(own), drawn.length, { fix }));
      found.lostObjects += without;
    }
  }
}

/** The objects with the outline that is asked for: of the cell, or of its nucleus. */
function outlines(
  drawn: readonly DrawnObject[],
  wanted: "cell" | "nucleus",
  say: (what: string, list: readonly DrawnObject[], more?: Pick<Tally, "hint" | "expected">) => void,
): [DrawnObject, Outline][] {
  const outlined = drawn.filter(({ outline }) => outline);
  const nuclei = outlined.filter(({ nucleus }) => nucleus);
  if (wanted === "nucleus") {
    say(
      "cells without a nucleus, left out",
      outlined.filter(({ nucleus }) => !nucleus),
    );
    return nuclei.map((object) => [object, object.nucleus as Outline]);
  }
  const hint = "outline: nucleus takes the nuclei";
  say("cells that also have the outline of a nucleus, of which the cell was taken", nuclei, { hint, expected: true });
  return outlined.map((object) => [object, object.outline as Outline]);
}

/** Cells of which nothing is left, by the reason, and coordinates that are not those of the image. */
function findLost(cells: readonly Shape[], visible: readonly number[], of: number, size: Size, found: Findings): void {
  const place = misplaced(cells, size);
  const lose = (what: string, list: readonly Shape[], more: Pick<Tally, "hint" | "fix">) => {
    if (list.length > 0) found.lost.push(tally(what, namesOf(list), of, more));
    found.lostObjects += list.length;
  };
  const outside = new Set(cells.filter((shape) => shape.area === 0 && isOutside(shape, size)));
  const small = cells.filter((shape) => shape.area === 0 && !outside.has(shape));
  const covered = cells.filter(({ area }, i) => area > 0 && visible[i] === 0);
  lose("objects outside the image", [...outside], {
    ...(place?.kind === "outside" && { hint: place.hint }),
    fix: "export the outlines in the coordinates of this image, or give the image on which they were drawn",
  });
  lose("objects too small to hold the centre of a pixel", small, {
    ...(place?.kind === "fractions" && { hint: place.hint }),
    fix: "check the unit of the coordinates, which are pixels, or remove the objects",
  });
  lose("objects covered by smaller ones that lie on them", covered, {
    fix: "say with categories which objects are cells, or remove those that are none",
  });
  if (place?.kind === "corner") found.told.push(tally(place.what, namesOf(cells), of, { hint: place.hint }));
}

function cornersOf([x, y, width, height]: readonly [number, number, number, number]): number[] {
  return [x, y, x + width, y, x + width, y + height, x, y + height];
}

/** Outlines of specks that were made of masks are rectangles too. */
const LEAST_BOX = 16;

/** Whether the outline is an upright rectangle of four points, which may be meant as a box. */
function isRectangle({ outline, area }: Shape): boolean {
  if (
    area < LEAST_BOX ||
    !outline ||
    !("polygons" in outline) ||
    outline.polygons.length !== 1 ||
    outline.polygons[0]?.length !== 1
  )
    return false;
  const ring = Array.from(outline.polygons[0][0] as ArrayLike<number>);
  const closed = ring.length === 10 && ring[0] === ring[8] && ring[1] === ring[9];
  if (ring.length !== 8 && !closed) return false;
  return [0, 1].every((axis) => new Set([0, 2, 4, 6].map((i) => ring[i + axis])).size === 2) && ring[0] !== ring[4];
}

/** Whether an object without a pixel lies outside, and is not merely too small. */
function isOutside({ outline, nucleus }: DrawnObject, [height, width]: Size): boolean {
  const rings = [outline, nucleus].flatMap((area) => (area && "polygons" in area ? area.polygons.flat() : []));
  const inside = rings.some((ring) => {
    for (let i = 0; i + 1 < ring.length; i += 2) {
      const [x, y] = [ring[i] as number, ring[i + 1] as number];
      if (x > 0 && y > 0 && x < width && y < height) return true;
    }
    return false;
  });
  return rings.length > 0 && !inside;
}

/** So many objects may lie on each pixel on average. */
const MOST_LAYERS = 50;

/** Paints ids 1..N, large ones first; `visible[id]` is the number of pixels that are left of each. */
function paint(cells: readonly Shape[], background: readonly Shape[], [height, width]: Size) {
  const total = [...cells, ...background].reduce((sum, { area }) => sum + area, 0);
  if (total > MOST_LAYERS * height * width)
    throw annotation(`its objects cover every pixel ${Math.round(total / (height * width))} times, which no cells do`);
  const data = new Int32Array(height * width);
  for (const { rows } of background) eachRow(rows, (row, from, to) => void data.fill(-1, row * width + from, row * width + to));
  const order = cells.map((shape, i) => ({ shape, id: i + 1 }));
  order.sort((a, b) => b.shape.area - a.shape.area || a.id - b.id);
  for (const { shape, id } of order)
    eachRow(shape.rows, (row, from, to) => void data.fill(id, row * width + from, row * width + to));
  const visible = new Int32Array(cells.length + 1);
  for (const id of data) if (id > 0) visible[id] = (visible[id] as number) + 1;
  return { data, visible };
}
