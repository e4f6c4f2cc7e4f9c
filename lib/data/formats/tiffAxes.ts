/**
 * The meaning of the pages of a TIFF: channels, slices, time points. It is known from OME-XML, ImageJ's, tifffile's, Zeiss's or
 * MetaMorph's description only.
 */

import { lazily } from "../../lazily.js";
import type { DecodeOptions } from "../image.js";
import { broken, unsupported } from "./limits.js";
import type { Directory, TiffDirectories } from "./tiffDirectories.js";

const xml = lazily<typeof import("fast-xml-parser")>("fast-xml-parser");

/** Sizes of the axes, and the page of each combination. */
export interface PageAxes {
  channels: number;
  slices: number;
  frames: number;
  page: (channel: number, slice: number, frame: number) => number;
  known: boolean;
  /** How many pages the description lists; 1 where it says nothing. */
  pages: number;
  /** What it lists are the samples of the only page. */
  inSamples?: boolean;
}

/** What a description says: sizes of axes, or only a number of pages. */
type Described = { order: string; sizes: Sizes; inSamples?: boolean } | { pages: number };

/**
 * @param pages number of directories that are pages
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED when the description lists another number of pages than the file has,
 * ERR_IMAGE_BROKEN for bad XML
 */
export function pageAxes(file: TiffDirectories, first: Directory, pages: number): PageAxes {
  const description = file.text(first, 270);
  const samples = file.number(first, 277, 1);
  const found: Described | undefined =
    ome(description, samples, pages) ??
    imageJ(description, samples) ??
    shaped(description, samples * file.number(first, 256, 0) * file.number(first, 257, 0)) ??
    zeiss(file.bytes(first, 34412), pages) ??
    metaMorph(file.count(first, 33629));
  if (!found || !("sizes" in found)) {
    const total = pages === 1 && found ? found.pages : pages;
    return strided("XYCZT", { C: total, Z: 1, T: 1 }, false);
  }
  const { order, sizes } = found;
  const total = sizes.C * sizes.Z * sizes.T;
  if (![sizes.C, sizes.Z, sizes.T].every((size) => Number.isSafeInteger(size) && size >= 1))
    throw broken("its description of channels, slices and frames cannot be interpreted");
  if (pages === 1 && found.inSamples) return { ...strided(order, sizes, true), inSamples: true };
  if (total !== pages && pages > 1) {
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
  return { channels: sizes.C, slices: sizes.Z, frames: sizes.T, page, known, pages: step };
}

/**
 * `pages` directories of `samples` values a pixel. In a set of files each lists the planes of all; a file of one directory is
 * then one plane.
 */
function ome(description: string, samples: number, pages: number): { order: string; sizes: Sizes } | undefined {
  if (!/<(\w+:)?OME[\s>]/.test(description)) return undefined;
  if (pages === 1 && /\sFileName\s*=/.test(description)) return undefined;
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
  const channels = Number(pixels.SizeC);
  // Colours are channels too. Not every writer says how many of them lie in one page, so the page itself is asked first.
  const together = channels % samples === 0 ? samples : Number(first(pixels.Channel)?.SamplesPerPixel ?? 1);
  const sizes = { C: channels / together, Z: Number(pixels.SizeZ), T: Number(pixels.SizeT) };
  return { order, sizes };
}

function imageJ(description: string, samples: number): Described | undefined {
  if (!description.startsWith("ImageJ=")) return undefined;
  const number = (key: string) => Number(new RegExp(`^${key}=(\\d+)\\s*$`, "m").exec(description)?.[1] ?? 1);
  const sizes = { C: number("channels"), Z: number("slices"), T: number("frames") };
  if (sizes.C === samples) sizes.C = 1;
  // 1: the description does not say what the axes are.
  return sizes.C * sizes.Z * sizes.T > 1 ? { order: "XYCZT", sizes } : { pages: Math.max(1, number("images")) };
}

/** tifffile's own: {"shape": [2, 420, 476], "axes": "CYX"}, where the axes may be missing. `values` are those of a page. */
function shaped(description: string, values: number): Described | undefined {
  if (!description.startsWith("{")) return undefined;
  let value: { shape?: unknown; axes?: unknown };
  try {
    value = JSON.parse(description) as typeof value;
  } catch {
    return undefined;
  }
  const { shape, axes } = value;
  if (!Array.isArray(shape)) return undefined;
  if (typeof axes !== "string" || !/^[CZT]{1,3}YXS?$/.test(axes) || axes.length !== shape.length) {
    const pages = shape.reduce((product: number, side) => product * Number(side), 1) / values;
    return Number.isSafeInteger(pages) && pages >= 1 ? { pages } : undefined;
  }
  const outer = axes.slice(0, axes.indexOf("Y"));
  if (new Set(outer).size !== outer.length) return undefined;
  const sizes: Sizes = { C: 1, Z: 1, T: 1 };
  for (const [i, axis] of [...outer].entries()) sizes[axis as "C"] = Number(shape[i]);
  const fastest = [...outer].reverse().join("");
  const order = `XY${fastest}${[..."CZT"].filter((axis) => !fastest.includes(axis)).join("")}`;
  // tifffile takes three or four planes for the colours of one page, and still says here what they are.
  const inSamples = shape.reduce((product: number, side) => product * Number(side), 1) === values;
  return inSamples && sizes.Z * sizes.T === 1 ? { pages: 1 } : { order, sizes, inSamples };
}

/** The header of Zeiss's .lsm: channels lie beside each other in a page, slices and frames are pages. */
function zeiss(header: Uint8Array, pages: number): Described | undefined {
  if (header.length < 28 || pages === 1) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const sizes = { C: 1, Z: view.getInt32(16, true), T: view.getInt32(24, true) };
  return sizes.Z * sizes.T === pages ? { order: "XYCZT", sizes } : undefined;
}

/** MetaMorph's .stk has one directory, and a tag with an entry for each plane. */
function metaMorph(planes: number): Described | undefined {
  return planes > 1 ? { pages: planes } : undefined;
}

/**
 * The pages that are wanted: for each channel those over which the largest value is taken (one page, except for slice "max").
 * Where the file does not say what its pages are, the option that is given says it.
 */
export function choosePages(
  { known, ...axes }: PageAxes,
  { allChannels = false, slice, frame, ...options }: DecodeOptions,
  kind: "image" | "labels",
): number[][] {
  const mask = kind === "labels";
  const page = mask ? "mask_page" : "page";
  let { channels: C, slices: Z, frames: T } = axes;
  const channels = allChannels ? Array.from({ length: C }, (_, i) => i) : options.channels;
  let pageOf = axes.page;
  if (!known && (mask || channels === undefined)) {
    if ((slice === undefined) === (frame === undefined)) {
      throw unsupported(
        `it has ${axes.pages} pages and does not say whether they are channels, slices or frames: set \`${page}\`, \`slice\` or \`frame\`${mask ? "" : ", or `channels` (such as [0, 1]) when they are channels"}`,
      );
    }
    [C, Z, T] = slice === undefined ? [1, 1, axes.pages] : [1, axes.pages, 1];
    pageOf = (_, z, t) => z + t;
  }
  const names = `${C} channels, ${Z} slices, ${T} frames`;
  if (C > 1 && mask) throw unsupported(`it has ${names}: say which page holds the labels with \`mask_page\``);
  if (C > 1 && channels === undefined)
    throw unsupported(
      `it has ${names}: say which channels to take with \`channels\`: [1] for one, [0, 1] for [nuclei, whole cell], or three for RGB`,
    );
  if (Z > 1 && slice === undefined)
    throw unsupported(`it has ${names}: choose a slice with \`slice\`${mask ? " or `mask_page`" : ', a number or "max"'}`);
  if (Z > 1 && slice === "max" && mask)
    throw unsupported(`it has ${names}, and numbers of cells have no largest value: choose a page with \`mask_page\``);
  if (T > 1 && frame === undefined) throw unsupported(`it has ${names}: choose a time point with \`frame\``);
  const inside = (what: string, index: number, count: number) => {
    if (index >= count) throw unsupported(`${what} ${index} was asked for, it has ${names} (counted from 0)`);
    return index;
  };
  const time = inside("frame", frame ?? 0, T);
  const slices = slice === "max" ? Array.from({ length: Z }, (_, i) => i) : [inside("slice", slice ?? 0, Z)];
  return (C > 1 ? (channels ?? [0]) : [0]).map((channel) => slices.map((z) => pageOf(inside("channel", channel, C), z, time)));
}
