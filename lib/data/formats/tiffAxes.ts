/**
 * The meaning of the pages of a TIFF: channels, slices, time points. It is known from OME-XML, ImageJ's or tifffile's
 * description only.
 */

import { lazily } from "../../lazily.js";
import type { DecodeOptions } from "../image.js";
import { broken, unsupported } from "./limits.js";

const xml = lazily<typeof import("fast-xml-parser")>("fast-xml-parser");

/** Sizes of the axes, and the page of each combination. */
export interface PageAxes {
  channels: number;
  slices: number;
  frames: number;
  page: (channel: number, slice: number, frame: number) => number;
  known: boolean;
}

/**
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED when the description lists another number of pages than the file has,
 * ERR_IMAGE_BROKEN for bad XML
 */
export function pageAxes(description: string, pages: number): PageAxes {
  const found = pages === 1 ? undefined : (ome(description) ?? imageJ(description) ?? shaped(description));
  if (!found) return strided("XYCZT", { C: pages, Z: 1, T: 1 }, false);
  const { order, sizes } = found;
  const total = sizes.C * sizes.Z * sizes.T;
  if (![sizes.C, sizes.Z, sizes.T].every((size) => Number.isSafeInteger(size) && size >= 1))
    throw broken("its description of channels, slices and frames cannot be interpreted");
  if (total !== pages) {
    throw unsupported(
      `its description lists ${total} pages (${sizes.C} channels, ${sizes.Z} slices, ${sizes.T} frames), the file has ${pages}; choose one with \`page\``,
    );
  }
  return strided(order, sizes, true);
}

type Sizes = Record<"C" | "Z" | "T", number>;

/** The first letter after XY varies fastest. */
function strided(order: string, sizes: Sizes, known: boolean): PageAxes {
  const stride: Sizes = { C: 0, Z: 0, T: 0 };
  let step = 1;
  for (const axis of order.slice(2) as Iterable<"C" | "Z" | "T">) {
    stride[axis] = step;
    step *= sizes[axis];
  }
  const page = (c: number, z: number, t: number) => c * stride.C + z * stride.Z + t * stride.T;
  return { channels: sizes.C, slices: sizes.Z, frames: sizes.T, page, known };
}

function ome(description: string): { order: string; sizes: Sizes } | undefined {
  if (!/<(\w+:)?OME[\s>]/.test(description)) return undefined;
  let root: Record<string, unknown>;
  try {
    // Entities are not expanded: an OME header needs none, and they can be nested to grow without limit.
    const parser = new (xml().XMLParser)({
      ignoreAttributes: false,
      attributeNamePrefix: "",
      removeNSPrefix: true,
      processEntities: false,
    });
    root = parser.parse(description) as Record<string, unknown>;
  } catch (error) {
    throw broken(`its OME-XML cannot be parsed (${(error as Error).message})`, error);
  }
  const first = (value: unknown) => (Array.isArray(value) ? value[0] : value) as Record<string, unknown> | undefined;
  const image = first((root.OME as Record<string, unknown> | undefined)?.Image);
  const pixels = first(image?.Pixels);
  const order = String(pixels?.DimensionOrder ?? "");
  if (!pixels || !/^XY(CZT|CTZ|ZCT|ZTC|TCZ|TZC)$/.test(order)) throw broken("its OME-XML has no Pixels with a DimensionOrder");
  const samples = Number(first(pixels.Channel)?.SamplesPerPixel ?? 1);
  const sizes = { C: Number(pixels.SizeC) / samples, Z: Number(pixels.SizeZ), T: Number(pixels.SizeT) };
  return { order, sizes };
}

function imageJ(description: string): { order: string; sizes: Sizes } | undefined {
  if (!description.startsWith("ImageJ=")) return undefined;
  const number = (key: string) => Number(new RegExp(`^${key}=(\\d+)\\s*$`, "m").exec(description)?.[1] ?? 1);
  const sizes = { C: number("channels"), Z: number("slices"), T: number("frames") };
  // 1: the description does not say what the axes are.
  return sizes.C * sizes.Z * sizes.T > 1 ? { order: "XYCZT", sizes } : undefined;
}

/** tifffile's own: {"shape": [2, 420, 476], "axes": "CYX"}. */
function shaped(description: string): { order: string; sizes: Sizes } | undefined {
  if (!description.startsWith("{")) return undefined;
  let value: { shape?: unknown; axes?: unknown };
  try {
    value = JSON.parse(description.replaceAll("\0", "")) as typeof value;
  } catch {
    return undefined;
  }
  const { shape, axes } = value;
  if (!Array.isArray(shape) || typeof axes !== "string" || !/^[CZT]{1,3}YXS?$/.test(axes) || axes.length !== shape.length)
    return undefined;
  const outer = axes.slice(0, axes.indexOf("Y"));
  if (new Set(outer).size !== outer.length) return undefined;
  const sizes: Sizes = { C: 1, Z: 1, T: 1 };
  for (const [i, axis] of [...outer].entries()) sizes[axis as "C"] = Number(shape[i]);
  const fastest = [...outer].reverse().join("");
  return { order: `XY${fastest}${[..."CZT"].filter((axis) => !fastest.includes(axis)).join("")}`, sizes };
}

/** The pages of the image: for each channel those over which the largest value is taken (one page, except for slice "max"). */
export function choosePages(axes: PageAxes, { allChannels, slice, frame, ...options }: DecodeOptions): number[][] {
  const channels = allChannels ? Array.from({ length: axes.channels }, (_, i) => i) : options.channels;
  const names = `${axes.channels} channels, ${axes.slices} slices, ${axes.frames} frames`;
  if (!axes.known && channels === undefined) {
    throw unsupported(
      `it has ${axes.channels} pages and does not say whether they are channels, slices or frames: set \`page\`, or \`channels\` (such as [0, 1]) when they are channels`,
    );
  }
  if (axes.channels > 1 && channels === undefined)
    throw unsupported(
      `it has ${names}: say which channels to take with \`channels\`: [1] for one, [0, 1] for [nuclei, whole cell], or three for RGB`,
    );
  if (axes.slices > 1 && slice === undefined)
    throw unsupported(`it has ${names}: choose a slice with \`slice\`, a number or "max"`);
  if (axes.frames > 1 && frame === undefined) throw unsupported(`it has ${names}: choose a time point with \`frame\``);
  const inside = (what: string, index: number, count: number) => {
    if (index >= count) throw unsupported(`${what} ${index} was asked for, it has ${names} (counted from 0)`);
    return index;
  };
  const time = inside("frame", frame ?? 0, axes.frames);
  const slices =
    slice === "max" ? Array.from({ length: axes.slices }, (_, i) => i) : [inside("slice", slice ?? 0, axes.slices)];
  return (axes.channels > 1 ? (channels ?? [0]) : [0]).map((channel) =>
    slices.map((z) => axes.page(inside("channel", channel, axes.channels), z, time)),
  );
}
