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
  rectangle: { what: "rectangles, taken for outlines", fix: "draw the cells as polygons" },
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
  size: readonly [number, number],
  { categories, outline = "cell", withoutOutline = "error" }: ObjectOptions = {},
): LabelMap {
  const tallies: Tally[] = [];
  const wanted = categories && new Set(categories);
  const named = (list: readonly DrawnObject[]) => list.map(({ name }) => name);
  const chosen = objects.filter(
    ({ category, categoryId = category, ignore }) =>
      !wanted || (category === undefined ? ignore : wanted.has(category) || wanted.has(categoryId as string)),
  );
  const drawn = chosen.filter(({ ignore, region }) => !ignore && !region);
  const say = (what: string, list: readonly DrawnObject[], more: Pick<Tally, "hint" | "fix"> = {}) => {
    if (list.length > 0) tallies.push(tally(what, named(list), Math.max(drawn.length, list.length), more));
  };

  const rowsOf = rasterizer(size);
  const shapeOf = (object: DrawnObject, area: Outline): Shape => {
    const rows = rowsOf(area);
    return { ...object, rows, area: areaOf(rows) };
  };
  const background = chosen
    .filter(({ ignore }) => ignore)
    .flatMap(({ outline, ...object }) => (outline ? [shapeOf(object, outline)] : []));
  if (withoutOutline === "ignore") {
    for (const object of drawn) {
      if (!object.outline && object.box) background.push(shapeOf(object, { polygons: [[rectangle(object.box)]] }));
    }
  }
  const lost: Tally[] = [];
  let lostCount = 0;
  for (const slip of Object.keys(slips) as Slip[]) {
    const own = drawn.filter((object) => object.slips?.includes(slip));
    if (own.length === 0) continue;
    const { what, fix } = slips[slip];
    const one = tally(what, named(own), drawn.length, { fix });
    const without = own.filter(({ outline }) => !outline).length;
    const decided = needsDecision.includes(slip) && withoutOutline !== "error";
    if (decided) say(`${what}, ${withoutOutline === "ignore" ? "whose boxes are ignored" : "left out"}`, own);
    else if (without === 0) tallies.push(one);
    else {
      lost.push(one);
      lostCount += without;
    }
  }

  say(
    "regions to ignore without a usable outline, left out",
    chosen.filter(({ ignore, outline }) => ignore && !outline),
  );
  say(
    "annotations around the cells, which were left out",
    chosen.filter(({ region }) => region),
  );
  const outlined = drawn.filter((object) => object.outline !== undefined);
  const nuclei = outlined.filter(({ nucleus }) => nucleus);
  if (outline === "nucleus")
    say(
      "cells without a nucleus, left out",
      outlined.filter(({ nucleus }) => !nucleus),
    );
  else
    say("cells that also have the outline of a nucleus, of which the cell was taken", nuclei, {
      hint: "outline: nucleus takes the nuclei",
    });
  const taken = outline === "nucleus" ? nuclei : outlined;
  const shapes = taken.map((object) => shapeOf(object, (outline === "nucleus" ? object.nucleus : object.outline) as Outline));

  const { regions, holders } = regionsAmong(shapes, size, wanted);
  say("objects that contain nearly all others: regions, which were left out", [...regions]);
  const within = shapes.filter((shape) => !regions.has(shape));
  const twice = drawnTwice(within);
  say(
    "objects that were drawn twice, and count once",
    within.filter((shape) => twice.has(shape)),
  );
  say(
    "objects that contain 3 or more others, and count as cells",
    [...holders].filter((shape) => !twice.has(shape)),
    { hint: "if they are regions, remove them, or choose categories" },
  );

  const cells = within.filter((shape) => !twice.has(shape));
  const map = paint(cells, background, size);
  const outside = cells.filter((shape) => shape.area === 0 && isOutside(shape, size));
  const small = cells.filter((shape) => shape.area === 0 && !outside.includes(shape));
  const visible = cells.map((_, i) => map.visible[i + 1] as number);
  const covered = cells.filter(({ area }, i) => area > 0 && visible[i] === 0);
  const place = misplaced(cells, size);
  const lose = (what: string, list: readonly Shape[], more: Pick<Tally, "hint" | "fix">) => {
    if (list.length > 0) lost.push(tally(what, named(list), drawn.length, more));
    lostCount += list.length;
  };
  lose("objects outside the image", outside, {
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
  const undecided =
    withoutOutline === "error" ? lost.filter(({ what }) => needsDecision.some((slip) => slips[slip].what === what)) : [];
  if (lostCount * 2 > drawn.length - twice.size - regions.size) throw refusal(lost);
  if (undecided.length > 0) throw refusal(undecided);
  tallies.push(...lost);
  say(
    "objects of which smaller ones on top leave less than a fifth",
    cells.filter(({ area }, i) => (visible[i] as number) > 0 && (visible[i] as number) < LEAST_VISIBLE * area),
  );
  if (place?.kind === "corner") say(place.what, cells, { hint: place.hint });
  const real = objects.filter(({ region, ignore }) => !region && !ignore);
  return {
    data: map.data,
    shape: [...size],
    count: visible.filter((pixels) => pixels > 0).length,
    notes: [...notes],
    tallies,
    categories: categoryCounts(declared, real, shapes),
  };
}

function refusal(tallies: Tally[]): CellsamError {
  return new CellsamError("ERR_ANNOTATION", tallies.map(({ what, count, of }) => `${what}: ${count} of ${of}`).join(", "), {
    detail: { tallies },
  });
}

function rectangle([x, y, width, height]: readonly [number, number, number, number]): number[] {
  return [x, y, x + width, y, x + width, y + height, x, y + height];
}

/** Whether an object without a pixel lies outside, and is not merely too small. */
function isOutside({ outline, nucleus }: DrawnObject, [height, width]: readonly [number, number]): boolean {
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
function paint(cells: readonly Shape[], background: readonly Shape[], [height, width]: readonly [number, number]) {
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
