/** The nuclei in examples/nuclei: 18 images of 256 x 256 pixels with their masks. */
import { readdirSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

export const nuclei = join(import.meta.dirname, "../examples/nuclei");
/** Of images, and of their masks, sorted. */
export const nucleiNames = readdirSync(join(nuclei, "images")).sort();

/** Copies these images and their masks into `folder`. */
export async function copyNuclei(folder: string, names: readonly string[]) {
  for (const kind of ["images", "masks"])
    for (const name of names) await cp(join(nuclei, kind, name), join(folder, kind, name));
  return { imgPath: join(folder, "images"), maskPath: join(folder, "masks") };
}

/** Writes the upper left `side` x `side` pixels of these images and of their masks into `folder`: one tile for the network. */
export async function cropNuclei(folder: string, names: readonly string[], side = 128) {
  for (const kind of ["images", "masks"]) {
    await mkdir(join(folder, kind), { recursive: true });
    for (const name of names) {
      const crop = sharp(join(nuclei, kind, name)).extract({ left: 0, top: 0, width: side, height: side });
      await (kind === "masks" ? crop.toColourspace("b-w") : crop).png().toFile(join(folder, kind, name));
    }
  }
  return { imgPath: join(folder, "images"), maskPath: join(folder, "masks") };
}
