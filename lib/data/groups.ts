/**
 * Reads from a table or mapping which images belong to one group (a slide, a patient, a field of view). A group is never
 * divided between training, validation and test.
 */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import type { Groups } from "./split.js";

const csv = lazily<typeof import("csv-parse/sync")>("csv-parse/sync");
const yaml = lazily<typeof import("yaml")>("yaml");

function refuse(path: string, message: string, detail: Record<string, unknown> = {}): CellsamError {
  return new CellsamError("ERR_SPLIT", `groups: ${path} ${message}`, { detail: { path, ...detail } });
}

/**
 * Returns the group of each image. The file is a .csv, .tsv or .txt table (image, group; with a header that has a column
 * `group`, the image is in the first column and the group in that one), or a .json, .yaml or .yml mapping from image to group,
 * or from group to a list of images. Images are named with or without extension. Images of `sources` must have a group, those
 * of `more` may. Other images are ignored, since the table may describe more than this data set.
 *
 * @throws CellsamError ERR_SPLIT for a file that cannot be read, images in two groups, and images without a group
 */
export async function readGroups(path: string, sources: readonly string[], more: readonly string[] = []): Promise<Groups> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new CellsamError("ERR_SPLIT", `groups: ${path} cannot be read (${(cause as Error).message})`, { cause });
  }
  const rows = /\.(json|ya?ml)$/i.test(path) ? mappingRows(path, text) : tableRows(path, text);
  const known = new Set([...sources, ...more]);
  const groups: Record<string, string> = Object.create(null);
  for (const [name, group] of rows) {
    const source = [name, name.slice(0, name.length - extname(name).length)]
      .map((candidate) => candidate.normalize("NFC"))
      .find((candidate) => known.has(candidate));
    if (source === undefined) continue;
    const other = groups[source];
    if (other !== undefined && other !== group) throw refuse(path, `puts ${source} into two groups, ${other} and ${group}`);
    groups[source] = group;
  }
  const missing = sources.filter((source) => groups[source] === undefined);
  if (missing.length > 0) {
    const some = missing.slice(0, 10).join(", ");
    throw refuse(path, `names no group for ${missing.length} of ${sources.length} images: ${some}`, { missing });
  }
  return groups;
}

function tableRows(path: string, text: string): [string, string][] {
  let rows: string[][];
  try {
    // Excel reads the separator from such a first line.
    const [declaration, declared] = /^\uFEFF?"?sep=(\t|[;,|])"?\r?\n/i.exec(text) ?? ["", undefined];
    const table = text.slice(declaration.length);
    const firstLine = table.slice(0, Math.max(0, table.indexOf("\n")) || table.length);
    const delimiter = declared ?? ["\t", ";", ","].find((mark) => firstLine.includes(mark)) ?? ",";
    rows = csv().parse(table, { bom: true, delimiter, trim: true, skip_empty_lines: true }) as string[][];
  } catch (cause) {
    throw refuse(path, `is no table (${(cause as Error).message})`);
  }
  const column = rows[0]?.map((name) => name.toLowerCase()).indexOf("group", 1) ?? -1;
  const body = column > 0 ? rows.slice(1) : rows;
  return body.map((row, i) => {
    const [name, group] = [row[0], row[column > 0 ? column : 1]];
    if (!name || !group) throw refuse(path, `has no image or no group in row ${i + (column > 0 ? 2 : 1)}`);
    return [name, group];
  });
}

function mappingRows(path: string, text: string): [string, string][] {
  let content: unknown;
  try {
    // In the failsafe schema every scalar is text, so that patient 007 is not patient 7.
    content = /\.json$/i.test(path) ? JSON.parse(text) : yaml().parse(text, { schema: "failsafe" });
  } catch (cause) {
    throw refuse(path, `does not parse (${(cause as Error).message})`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw refuse(path, "must map images to groups, or groups to lists of images");
  return Object.entries(content).flatMap(([key, value]): [string, string][] => {
    const named = typeof value === "number" || (typeof value === "string" && !/^(~|null)?$/.test(value));
    if (named) return [[key, String(value)]];
    if (Array.isArray(value)) return value.map((image) => [String(image), key]);
    throw refuse(path, `must map images to groups, or groups to lists of images; ${key} has neither`);
  });
}
