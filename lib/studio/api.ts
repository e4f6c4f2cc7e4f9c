/**
 * The words that studio's server and its clients exchange: a schema for each body, answer and event, with the types made of
 * them. Coordinates are pixels of the full image, where the centre of the first pixel is (0.5, 0.5); a bounds
 * [x0, y0, x1, y1] excludes x1 and y1. A mask is run lengths row by row within its bounds, the first run of zeros (perhaps 0).
 */
import { z } from "zod";
import { count, id, numberIn, time, unit } from "./apiParts.js";
import { runRowSchema } from "./runsApi.js";

export * from "./runsApi.js";

const coordinate = z.number().min(-1e6).max(1e6);
const point = z.tuple([coordinate, coordinate]);
const stroke = z.array(point).min(1).max(100_000);
const cellIds = z.array(id).min(1).max(1_000_000);
const runLengths = z.array(count).max(20_000_000);

export const boundsSchema = z.tuple([count, count, count, count]);
export type Bounds = z.infer<typeof boundsSchema>;

/** Every answer that is no success. */
export const errorSchema = z.object({
  error: z.object({
    /** One of docs/errors.md. */
    code: z.string(),
    message: z.string(),
    /** After a conflict `revision` is the present one. */
    detail: z.record(z.string(), z.unknown()),
  }),
});
export type ErrorAnswer = z.infer<typeof errorSchema>;

// Models, jobs and the state of the server

export const modelSchema = z.object({
  /** "default", or the name of the run that trained it. */
  run: z.string(),
  /** For people: the name of the weights, or of the run. */
  label: z.string(),
});
export type Model = z.infer<typeof modelSchema>;

export const jobSchema = z.object({
  id,
  kind: z.enum(["predict", "train"]),
  /** For people. */
  title: z.string(),
  state: z.enum(["waiting", "running", "done", "failed", "cancelled"]),
  /** Images of `predict`; epochs of all stages of `train`. */
  done: count,
  total: count,
  /** The run of a training. */
  run: z.string().nullable(),
  /** Why it failed, or which images of a prediction did. */
  message: z.string().nullable(),
  started: time,
  ended: time.nullable(),
});
export type Job = z.infer<typeof jobSchema>;

export const memorySchema = z.object({
  time,
  /** Resident bytes of the server, and of the process of the training that runs. */
  server: count,
  training: count.nullable(),
  /** Bytes of each GPU. */
  gpus: z.array(z.object({ name: z.string(), used: count, total: count })),
});
export type Memory = z.infer<typeof memorySchema>;

export const stateSchema = z.object({
  version: z.string(),
  /** "runs": the page of `cellsam train --watch`, which has no images. */
  mode: z.enum(["studio", "runs"]),
  /** Name of the data folder. */
  data: z.string(),
  /** Folder that studio writes to, as it was given. */
  out: z.string(),
  model: modelSchema,
  /** The model before it, whose predictions are `before`. */
  before: modelSchema.nullable(),
  /** Why the model could not be opened. */
  modelError: z.string().nullable(),
  threads: count,
  images: count,
  corrected: count,
  /** What a training can begin with, and the epochs of each of its stages. */
  presets: z.array(z.object({ name: z.string(), epochs: z.array(count) })),
  /** How "correct next" and the held-out images are chosen, a sentence each. */
  nextRule: z.string(),
  splitRule: z.string(),
  jobs: z.array(jobSchema),
  memory: memorySchema,
});
export type State = z.infer<typeof stateSchema>;

// Images

export const imageRowSchema = z.object({
  id,
  /** Path below the data folder. */
  name: z.string(),
  /** null where the file cannot be read; `problem` says why. */
  width: count.nullable(),
  height: count.nullable(),
  channels: count.nullable(),
  problem: z.string().nullable(),
  /** `own`: the masks that the user gave. `edited`: drawn in, not marked as done. `corrected`: done, goes into training. */
  state: z.enum(["none", "own", "predicted", "edited", "corrected"]),
  /** Of a corrected image. */
  split: z.enum(["training", "validation"]).nullable(),
  /** Cells of the labels; null while nobody has counted them. */
  cells: count.nullable(),
  /** Mean score of the predicted cells; null without a prediction and for one without cells. */
  score: unit.nullable(),
  /**
   * F1 at IoU 0.5 of the predictions of the present model and the one before, against the corrections; null unless corrected.
   */
  f1: unit.nullable(),
  f1Before: unit.nullable(),
  /** 1 - AP at IoU 0.5 between the predictions of the two models. */
  disagreement: unit.nullable(),
  /** 1 for the image to correct next; null for corrected ones, and where nothing is known. */
  next: id.nullable(),
});
export type ImageRow = z.infer<typeof imageRowSchema>;
export const imageListSchema = z.object({ images: z.array(imageRowSchema) });

export const layerSchema = z.enum(["labels", "prediction", "before"]);
export type Layer = z.infer<typeof layerSchema>;

export const imageViewSchema = z.object({
  id,
  name: z.string(),
  width: count,
  height: count,
  channels: z.array(
    z.object({
      name: z.string(),
      /** Lowest and highest value, of about a million pixels. */
      min: z.number(),
      max: z.number(),
      /** Percentiles 0.1 and 99.9: the contrast to begin with. */
      low: z.number(),
      high: z.number(),
      /** rrggbb: the colour to begin with. */
      color: z.string(),
    }),
  ),
  tileSize: count,
  /** Level 0 is the full image, each further one half of it (rounded up); tiles at the right and lower edge are smaller. */
  levels: z.array(z.object({ width: count, height: count, columns: count, rows: count })),
  revision: count,
  /** How many edits can be undone and done again. */
  undo: count,
  redo: count,
  done: z.boolean(),
  /** Which layers there are besides the labels. */
  prediction: z.boolean(),
  before: z.boolean(),
  ownMasks: z.boolean(),
});
export type ImageView = z.infer<typeof imageViewSchema>;

export const tileParametersSchema = z.object({
  image: numberIn(1, 999_999_999),
  level: numberIn(0, 30),
  x: numberIn(0, 1_000_000),
  y: numberIn(0, 1_000_000),
});

const numbers = (text: string) => text.split(",").map(Number);
const numberList = z
  .string()
  .regex(/^-?[0-9.e+]+(,-?[0-9.e+-]+){0,15}$/i, "numbers between commas")
  .transform(numbers);

/** One entry for each of `channels`. Defaults: every channel, with the contrast and colour to begin with. */
export const pixelsQuerySchema = z.object({
  channels: numberList.optional(),
  low: numberList.optional(),
  high: numberList.optional(),
  colors: z
    .string()
    .regex(/^[0-9a-f]{6}(,[0-9a-f]{6}){0,15}$/i, "rrggbb between commas")
    .transform((text) => text.split(","))
    .optional(),
  format: z.enum(["png", "webp"]).default("webp"),
});

export const labelsQuerySchema = z.object({ which: layerSchema.default("labels") });

// Cells

export const cellSchema = z.object({
  id,
  bounds: boundsSchema,
  /** Mean of its pixels' centres. */
  centre: point,
  /** Pixels. */
  area: count,
  score: z.number().nullable(),
  /** `own`: of the user's masks. */
  state: z.enum(["own", "predicted", "accepted", "drawn"]),
});
export type Cell = z.infer<typeof cellSchema>;
export const cellListSchema = z.object({ revision: count, cells: z.array(cellSchema) });

export const segmentBodySchema = z
  .object({
    points: z.array(point).max(1000).default([]),
    /** 1 for a point of the cell, 0 for one beside it; one for each point. */
    labels: z
      .array(z.union([z.literal(0), z.literal(1)]))
      .max(1000)
      .default([]),
    box: z.tuple([coordinate, coordinate, coordinate, coordinate]).optional(),
    /** The number of an earlier proposal for the same cell, which the network refines; one that is forgotten counts as none. */
    refine: id.optional(),
  })
  .refine(({ points, labels }) => points.length === labels.length, "as many labels as points")
  .refine(({ points, box }) => points.length > 0 || box, "a point or a box is needed");
export type SegmentBody = z.input<typeof segmentBodySchema>;

export const proposalSchema = z.object({
  /** To be named as `refine`; the server remembers the last hundred. */
  proposal: id,
  /** The network's own estimate of the mask's IoU. */
  score: z.number(),
  /** null where it found nothing: `mask` and `outline` are empty. */
  bounds: boundsSchema.nullable(),
  mask: runLengths,
  /** Rings [x, y, x, y, ...] around the mask and its holes, along the edges of pixels. */
  outline: z.array(z.array(z.number())),
});
export type Proposal = z.infer<typeof proposalSchema>;

// Edits

/**
 * What a new or grown cell does where other cells are: leaves them ("background", the default), or takes their pixels ("all").
 */
const over = z.enum(["background", "all"]).default("background");
const allOrIds = z.union([z.literal("all"), cellIds]);

export const editSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("add"), bounds: boundsSchema, runs: runLengths, over, score: unit.optional() }),
  /** A brush of this radius along the points; `cell` null makes a new cell. */
  z.object({ kind: z.literal("paint"), points: stroke, radius: z.number().min(0).max(2000), cell: id.nullable(), over }),
  /** `cell` null erases of every cell. */
  z.object({ kind: z.literal("erase"), points: stroke, radius: z.number().min(0).max(2000), cell: id.nullable() }),
  z.object({ kind: z.literal("delete"), cells: allOrIds }),
  /** All become the first one. */
  z.object({ kind: z.literal("merge"), cells: cellIds.min(2) }),
  /** Cuts along the line; the largest part keeps the id. The line's own pixels go to the parts, none is lost. */
  z.object({ kind: z.literal("split"), cell: id, line: stroke.min(2) }),
  /** Fills the holes of the cell; other cells in them stay. */
  z.object({ kind: z.literal("fill"), cell: id }),
  z.object({ kind: z.literal("accept"), cells: allOrIds }),
  /** Takes predicted cells away: as `delete`, but "all" are those in the state `predicted`. */
  z.object({ kind: z.literal("reject"), cells: allOrIds }),
  z.object({ kind: z.literal("take-prediction"), which: z.enum(["prediction", "before"]).default("prediction") }),
  z.object({ kind: z.literal("take-own-masks") }),
  z.object({ kind: z.literal("undo") }),
  z.object({ kind: z.literal("redo") }),
]);
export type Edit = z.infer<typeof editSchema>;

export const editBodySchema = z.object({
  /** The revision that the client has seen. */
  revision: count,
  edit: editSchema,
  /** A name that the client chose for itself; the event of this edit repeats it as `by`. */
  client: z.string().max(64).optional(),
});
export type EditBody = z.input<typeof editBodySchema>;

export const editAnswerSchema = z.object({
  revision: count,
  /** Of the pixels that changed; null where none did. */
  bounds: boundsSchema.nullable(),
  /** Cells that are new or changed, as they are now. */
  cells: z.array(cellSchema),
  removed: z.array(id),
  undo: count,
  redo: count,
});
export type EditAnswer = z.infer<typeof editAnswerSchema>;

export const doneBodySchema = z.object({ done: z.boolean() });

// Prediction, training and runs

export const predictBodySchema = z.object({
  images: z.union([z.enum(["all", "uncorrected"]), z.array(id).min(1).max(1_000_000)]),
});
export type PredictBody = z.input<typeof predictBodySchema>;

export const imageParametersSchema = z.object({ image: numberIn(1, 999_999_999) });
export const jobParametersSchema = z.object({ job: numberIn(1, 999_999_999) });

// Events, by the name of each; the data of one are JSON

export const eventSchemas = {
  labels: z.object({ image: id, revision: count, bounds: boundsSchema.nullable(), by: z.string().nullable() }),
  /** Its own `next` is that of the last `next` event. */
  image: imageRowSchema,
  /** The images to correct, the one with `next` 1 first: one change may give all others another rank. */
  next: z.object({ images: z.array(id) }),
  job: jobSchema,
  /** `epoch` where one has ended, else null. */
  run: runRowSchema,
  /** A step of the training that runs, at most two a second. */
  step: z.object({
    run: z.string(),
    stage: z.union([z.literal(1), z.literal(2)]),
    epoch: id,
    step: id,
    steps: id,
    loss: z.number().nullable(),
  }),
  model: z.object({ model: modelSchema, before: modelSchema.nullable() }),
  memory: memorySchema,
};
export type EventName = keyof typeof eventSchemas;
export type EventData<Name extends EventName> = z.infer<(typeof eventSchemas)[Name]>;
