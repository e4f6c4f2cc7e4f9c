/** Settings of reading image files and annotations: page, channels and slice, the kind of annotation, additional data sets. */

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
  annotationFormat: choice(["auto", "label_images", "cellpose", "coco", "geojson", "object_folders"])
    .default("auto")
    .describe('Kind of the annotations; "auto" looks at what is there.'),
  ignoreLabel: integer(-1)
    .refine((value) => value !== 0, { error: "must not be 0, which is background" })
    .nullable()
    .default(null)
    .describe("Value of label images for pixels that are neither cell nor background, such as 65535."),
  categories: zod()
    .array(text("must be a name"), { error: "must be a list of names" })
    .min(1)
    .nullable()
    .default(null)
    .describe("Names of the COCO categories that are cells; null: all."),
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
