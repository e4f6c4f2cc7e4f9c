/** The nuclei in examples/nuclei: 18 images of 256 x 256 pixels with their masks. */
import { readdirSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";

export const nuclei = join(import.meta.dirname, "../examples/nuclei");
/** Of images, and of their masks, sorted. */
export const nucleiNames = readdirSync(join(nuclei, "images")).sort();

/** Copies these images and their masks into `folder`. */
export async function copyNuclei(folder: string, names: readonly string[]) {
  for (const kind of ["images", "masks"])
    for (const name of names) await cp(join(nuclei, kind, name), join(folder, kind, name));
  return { imgPath: join(folder, "images"), maskPath: join(folder, "masks") };
}
