/** The routes of images: the list, tiles, cells, proposals and edits. */

import { CellsamError } from "../errors.js";
import {
  cellListSchema,
  doneBodySchema,
  editAnswerSchema,
  editBodySchema,
  type ImageView,
  imageListSchema,
  imageParametersSchema,
  imageRowSchema,
  imageViewSchema,
  labelsQuerySchema,
  pixelsQuerySchema,
  proposalSchema,
  segmentBodySchema,
  tileParametersSchema,
} from "./api.js";
import { tileSize } from "./pyramid.js";
import { type Route, route } from "./routes.js";
import type { Studio } from "./studio.js";
import { labelTile, pixelTile, type Shown } from "./tiles.js";

export function imageRoutes({ list, workspace, models, rows }: Studio): Route[] {
  const view = async (id: number): Promise<ImageView> => {
    const image = list.get(id);
    const { pyramid, channels } = await workspace.pixels(id);
    const labels = await workspace.labels(id);
    const [{ width, height }] = pyramid.levels as [ImageView["levels"][number]];
    return {
      ...{ id, name: image.file, width, height, channels, tileSize, levels: pyramid.levels },
      revision: labels.revision,
      ...labels.depth,
      done: labels.done,
      prediction: Boolean(await models.predictions?.facts(image.name)),
      before: Boolean(await models.predictionsBefore?.facts(image.name)),
      ownMasks: image.mask !== null,
    };
  };
  return [
    route({
      ...{ method: "GET", path: "/api/images", summary: "All images, with their states and scores." },
      answer: imageListSchema,
      handle: async () => ({ images: await rows.all() }),
    }),
    route({
      ...{ method: "GET", path: "/api/images/:image", summary: "Opens an image." },
      params: imageParametersSchema,
      answer: imageViewSchema,
      handle: ({ params }) => view(params.image),
    }),
    route({
      ...{ method: "GET", path: "/api/images/:image/pixels/:level/:x/:y", summary: "A tile as a picture." },
      params: tileParametersSchema,
      query: pixelsQuerySchema,
      answer: "image/webp",
      handle: async ({ params: { image, level, x, y }, query }) => {
        const { pyramid, channels } = await workspace.pixels(image);
        const pixels = await pyramid.level(level);
        const shown = shownChannels(query, channels);
        const body = pixels && (await pixelTile(pixels, pyramid.channels, [x, y], shown, query.format));
        if (!body) throw noTile();
        return { type: `image/${query.format}`, body };
      },
    }),
    route({
      method: "GET",
      path: "/api/images/:image/labels/:level/:x/:y",
      summary: "The ids of a tile as 32-bit little-endian numbers, row by row; the header x-revision says of which revision.",
      params: tileParametersSchema,
      query: labelsQuerySchema,
      answer: "application/octet-stream",
      handle: async ({ params: { image, level, x, y }, query: { which } }) => {
        const labels = await workspace.labels(image);
        const map = which === "labels" ? labels.map : await workspace.layer(image, which);
        const body = labelTile(map, level, [x, y]);
        if (!body) throw noTile();
        return { type: "application/octet-stream", body, headers: { "x-revision": String(labels.revision) } };
      },
    }),
    route({
      ...{ method: "GET", path: "/api/images/:image/cells", summary: "The cells of an image, or of a prediction of it." },
      params: imageParametersSchema,
      query: labelsQuerySchema,
      answer: cellListSchema,
      handle: async ({ params: { image }, query: { which } }) => {
        const labels = await workspace.labels(image);
        const map = which === "labels" ? labels.map : await workspace.layer(image, which);
        return { revision: labels.revision, cells: map.cells() };
      },
    }),
    route({
      ...{
        method: "POST",
        path: "/api/images/:image/segment",
        summary: "The cell that points and a box show; changes nothing.",
      },
      params: imageParametersSchema,
      body: segmentBodySchema,
      answer: proposalSchema,
      handle: ({ params: { image }, body }) => models.segment(image, async () => (await workspace.pixels(image)).image, body),
    }),
    route({
      ...{ method: "POST", path: "/api/images/:image/edits", summary: "Changes labels; it is on the disk when this answers." },
      params: imageParametersSchema,
      body: editBodySchema,
      answer: editAnswerSchema,
      handle: ({ params: { image }, body }) => workspace.edit(image, body),
    }),
    route({
      ...{ method: "POST", path: "/api/images/:image/done", summary: "Marks an image as corrected, or takes that back." },
      params: imageParametersSchema,
      body: doneBodySchema,
      answer: imageRowSchema,
      handle: async ({ params: { image }, body: { done } }) => {
        await workspace.setDone(image, done);
        return rows.one(list.get(image));
      },
    }),
  ];
}

function noTile(): CellsamError {
  return new CellsamError("ERR_NOT_FOUND", "the image has no such tile");
}

/** @throws CellsamError ERR_INVALID_ARGUMENT for lists of other lengths, or a channel that is not there */
function shownChannels(
  query: { channels?: number[]; low?: number[]; high?: number[]; colors?: string[] },
  known: ImageView["channels"],
): Shown[] {
  const wanted = query.channels ?? known.map((_, i) => i);
  const { low, high, colors } = query;
  for (const list of [low, high, colors]) {
    if (list && list.length !== wanted.length)
      throw new CellsamError(
        "ERR_INVALID_ARGUMENT",
        `low, high and colors need one value for each of ${wanted.length} channels`,
      );
  }
  return wanted.map((channel, i) => {
    const own = known[channel];
    if (!own)
      throw new CellsamError("ERR_INVALID_ARGUMENT", `there is no channel ${channel}; they are 0 to ${known.length - 1}`);
    const color = Number.parseInt(colors?.[i] ?? own.color, 16);
    return {
      channel,
      low: low?.[i] ?? own.low,
      high: high?.[i] ?? own.high,
      color: [color >> 16, (color >> 8) & 255, color & 255],
    };
  });
}
