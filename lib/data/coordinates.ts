/** Recognises coordinates that do not belong to the image: of a whole slide, of another magnification, fractions of the image. */
import type { Shape } from "./objects.js";

/** From so many objects on it is no chance that all lie in one corner: for a quarter of the image 4^-6. */
const FEWEST = 6;

/** Between the pictures of a pyramid. */
const FACTORS = [2, 4, 8, 16, 32];

export type Misplaced = { kind: "outside" | "fractions"; hint: string } | { kind: "corner"; what: string; hint: string };

/** What the range of all coordinates says about the picture on which they were drawn. */
export function misplaced(shapes: readonly Shape[], [height, width]: readonly [number, number]): Misplaced | undefined {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, -Number.MAX_VALUE, -Number.MAX_VALUE];
  let outside = 0;
  for (const { outline, area } of shapes) {
    if (area === 0) outside++;
    if (!outline || !("polygons" in outline)) continue;
    for (const ring of outline.polygons.flat()) {
      for (let i = 0; i + 1 < ring.length; i += 2) {
        left = Math.min(left, ring[i] as number);
        right = Math.max(right, ring[i] as number);
        top = Math.min(top, ring[i + 1] as number);
        bottom = Math.max(bottom, ring[i + 1] as number);
      }
    }
  }
  if (left > right) return undefined;
  const range = `x ${short(left)} to ${short(right)}, y ${short(top)} to ${short(bottom)}; the image is ${width} wide and ${height} high`;
  if (left >= 0 && top >= 0 && right <= 1 && bottom <= 1)
    return { kind: "fractions", hint: `${range}: these look like fractions of the image, where pixels are expected` };
  if (outside * 2 > shapes.length || right > width * 1.2 || bottom > height * 1.2) {
    const [wide, high] = [right / width, bottom / height];
    const times = fullScale(Math.max(wide, high));
    const alike = Math.min(wide, high) > 0.6 * Math.max(wide, high);
    const enlarged = alike && left < 0.15 * right && top < 0.15 * bottom && times !== undefined;
    const source = enlarged ? `of a picture ${times} times as large` : "of another picture, such as the whole slide";
    return { kind: "outside", hint: `${range}: these are coordinates ${source}` };
  }
  const part = Math.max(right / width, bottom / height);
  if (shapes.length < FEWEST || part > 0.55) return undefined;
  // Objects end before the edge of their picture, so the factor is the next lower one.
  const times = [...FACTORS].reverse().find((factor) => factor * part < 1.05);
  return {
    kind: "corner",
    what: `objects that all lie in the upper left corner${times ? `, as on a picture ${times} times smaller` : ""}`,
    hint: `${range}: are these the coordinates of a smaller picture, or another unit than pixels?`,
  };
}

/** The 2, 4, 8, ... whose picture objects with this extent fill almost. */
function fullScale(ratio: number): number | undefined {
  return FACTORS.find((times) => ratio <= times * 1.05 && ratio > times * 0.7) ?? undefined;
}

const short = (value: number) => String(Math.round(value * 10) / 10);
