/** Settings of reading image files and annotations: page, channels and slice, the kind of annotation, additional data sets. */

import { ANNOTATIONS } from "../data/image.js";
import { choice, integer, path, text, zod } from "./fields.js";

const extensions = () =>
  zod()
    .array(text("must be an extension such as .png").regex(/^\.[^./\\]+$/, { error: "must be an extension such as .png" }), {
      error: "must be a list of extensions",
    })
    .min(1, { error: "must list at least one extension" })
    .nullable()
    .default(null);

/** Which part of a file is the image. Training and prediction must agree on these. */
export const readFields = () => ({
  page: integer(0).nullable().default(null).describe("Page of a TIFF of several pages, from 0."),
  channels: zod()
    .array(integer(0), { error: "must be a list of channel numbers" })
    .min(1)
    .max(3)
    .nullable()
    .default(null)
    .describe("Channels to take, from 0: [grey], [nuclei, whole cell], or [red, green, blue]."),
  slice: zod()
    .union([integer(0), zod().literal("max")], { error: 'must be a slice number or "max"' })
    .nullable()
    .default(null)
    .describe('Slice of a z stack, from 0, or "max" for the brightest value over all slices.'),
  frame: integer(0).nullable().default(null).describe("Time point of a series, from 0."),
});

/** Which objects of an annotation are cells. */
export const labelFields = () => ({
  annotationFormat: choice(["auto", ...ANNOTATIONS])
    .default("auto")
    .describe('Kind of the annotations; "auto" looks at what is there.'),
  ignoreLabel: integer(-1)
    .refine((value) => value !== 0, { error: "must not be 0, which is background" })
    .nullable()
    .default(null)
    .describe("Value of label images for pixels that are neither cell nor background, such as 65535."),
  backgroundLabel: integer(0)
    .nullable()
    .default(null)
    .describe(
      "Value of masks for background besides 0, such as 1 after a watershed; with binaryMasks instead of 0, so 255 inverts " +
        "them. 0: no cell is taken for background, however large it is.",
    ),
  relabel: choice(["check", "connected", "keep"])
    .default("check")
    .describe(
      "What an id in several separate regions is. check: one cell, with a warning, and an error where it is the rule, as in " +
        "masks of classes; connected: each region is a cell of its own (masks of classes, foreground, or numbers used twice); " +
        "keep: one cell, without a word.",
    ),
  minCellArea: integer(0)
    .default(0)
    .describe("Smallest area, in pixels, of a cell of the masks; smaller ones become background."),
  maskPage: integer(0)
    .nullable()
    .default(null)
    .describe("Page of masks in TIFF files of several pages, from 0; null: slice and frame choose, as for images."),
  categories: zod()
    .array(zod().union([text("must be a name"), integer(0)]), { error: "must be a list of names or numbers" })
    .min(1)
    .nullable()
    .default(null)
    .describe("Categories (classes, labels) of drawn objects that are cells, by name or number; null: all."),
  outline: choice(["cell", "nucleus"])
    .default("cell")
    .describe("Which outline is taken where drawn cells come with that of their nucleus, as QuPath exports them."),
  withoutOutline: choice(["error", "leave_out", "ignore"])
    .default("error")
    .describe(
      "What becomes of drawn objects without an outline that can be used: an error that lists them, left out, or their boxes " +
        "become regions that are neither cell nor background.",
    ),
});

export const readingFields = () => ({
  ...readFields(),
  ...labelFields(),
  imageExtensions: extensions().describe("Extensions that count as images and as masks; null: every one that is read."),
  maskExtensions: extensions().describe("Extensions that count as masks; null: every one that is read."),
  additionalDatasets: zod()
    .array(zod().strictObject({ imgPath: path(), maskPath: path() }), { error: "must be a list of {imgPath, maskPath}" })
    .default([])
    .describe("Further folders whose images train with those of imgPath and never validate."),
});
