/**
 * Segmentation text as YOLO reads it: one file per image, a line for each object: number of its class, then x and y of its
 * outline as fractions of the image's width and height. The names of classes are in another file.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { lazily } from "../../lazily.js";
import type { AnnotationFile, DrawnObject } from "../objects.js";
import { isObject, numberOf } from "./json.js";
import { annotation } from "./limits.js";
import { flatRing, outlined } from "./rings.js";

const yaml = lazily<typeof import("yaml")>("yaml");

const NUMBER = String.raw`[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?`;
const LINE = new RegExp(String.raw`^\d+(?:\s+${NUMBER}){4}(?:\s|$)`);

/** Whether the first lines are a class and at least four numbers each. A file without a line is an empty field. */
export function isYolo(text: unknown): boolean {
  if (typeof text !== "string") return false;
  const lines = text
    .slice(0, 2 ** 16)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  return lines.slice(0, 20).every((line) => LINE.test(line.trim()));
}

export function parseYolo(text: string, path: string): AnnotationFile {
  const names = classNames(path);
  return {
    drawing: (_item, size) => {
      if (!size) throw annotation("it does not say how large the image is: give `size`");
      const largest = largestOf(text);
      if (largest > MOST_FRACTION)
        throw annotation(
          `its coordinates go up to ${largest}, where YOLO has fractions of the image's width and height, 0 to 1`,
        );
      const objects: DrawnObject[] = [];
      for (const [i, line] of text.split(/\r?\n/).entries())
        if (line.trim() !== "") objects.push(drawn(line.trim().split(/\s+/), `line ${i + 1}`, names, size));
      return { objects, categories: [...names.values()] };
    },
  };
}

/** Outlines may reach a little over the edge. */
const MOST_FRACTION = 2;

function largestOf(text: string): number {
  let largest = 0;
  for (const line of text.split(/\r?\n/)) {
    for (const value of line.trim().split(/\s+/).slice(1)) largest = Math.max(largest, Number(value) || 0);
  }
  return largest;
}

function drawn(
  [number = "", ...values]: string[],
  name: string,
  names: ReadonlyMap<string, string>,
  [height, width]: readonly [number, number],
): DrawnObject {
  const object: DrawnObject = { name, category: names.get(number) ?? number, categoryId: number };
  const numbers = values.map((value) => numberOf(value, { found: false }));
  const [x, y, w, h] = numbers;
  // Centre, width and height; a fifth number is the score of a prediction.
  if (values.length === 4 || values.length === 5) {
    if (x === undefined || y === undefined || w === undefined || h === undefined) return { ...object, slips: ["broken"] };
    return { ...object, box: [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height], slips: ["boxOnly"] };
  }
  const even = numbers.slice(0, numbers.length - (numbers.length % 2));
  return outlined(object, [
    [
      flatRing(
        even.map((value, i) => (value === undefined ? value : value * (i % 2 ? height : width))),
        { found: false },
      ),
    ],
  ]);
}

/** Files beside the annotations, or in one of the two folders above, that name classes by their numbers. */
const LISTS = ["classes.txt", "obj.names", "classes.names"];
const CONFIGURATIONS = ["data.yaml", "data.yml", "dataset.yaml", "dataset.yml"];

function classNames(path: string): ReadonlyMap<string, string> {
  let folder = dirname(path);
  for (let up = 0; up < 3; up++, folder = dirname(folder)) {
    for (const file of [...LISTS, ...CONFIGURATIONS]) {
      const names = namesIn(join(folder, file), CONFIGURATIONS.includes(file));
      if (names) return names;
    }
  }
  return new Map();
}

function namesIn(path: string, configuration: boolean): ReadonlyMap<string, string> | undefined {
  let text: string;
  try {
    if (statSync(path).size > 2 ** 20) return undefined;
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  if (!configuration)
    return numbered(
      text
        .trim()
        .split(/\r?\n/)
        .map((line) => line.trim()),
    );
  try {
    const content: unknown = yaml().parse(text);
    const names = isObject(content) ? content.names : undefined;
    if (Array.isArray(names)) return numbered(names.map(String));
    return isObject(names) ? new Map(Object.entries(names).map(([key, name]) => [key, String(name)])) : undefined;
  } catch {
    return undefined;
  }
}

const numbered = (names: readonly string[]) => new Map(names.map((name, i) => [String(i), name]));
