/**
 * Finds circles of imports and includes among the files of lib/ and native/, for `npm run check`; in native/ also circles of
 * units, a header with its sources: where a.cc needs b.h and b.h needs a.h, neither can be read or tested without the other.
 */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/**
 * One problem for each circle of imports or includes among `files`, whose paths are relative to `root`.
 * @param {string} root
 * @param {string[]} files
 */
export function cycleProblems(root, files) {
  const sources = files.filter((file) => /^lib\/.*\.ts$|^native\/.*\.(cc|h|cu)$/.test(file));
  const known = new Set(sources);
  const imports = new Map(sources.map((file) => [file, targets(file, readFileSync(join(root, file), "utf8"), known)]));
  const found = circles(imports);
  if (found.length === 0) found.push(...circles(units(imports)));
  return found.map((circle) => `${circle[0]}: imports itself: ${circle.join(" -> ")}`);
}

/**
 * The graph of native/ with all files of a name, but for the ending, as one.
 * @param {Map<string, string[]>} imports
 */
function units(imports) {
  const unit = (/** @type {string} */ file) => file.replace(/\.(h|cc|cu)$/, "");
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  for (const [file, targets] of imports) {
    if (!file.startsWith("native/")) continue;
    const others = targets.map(unit).filter((target) => target !== unit(file));
    graph.set(unit(file), [...new Set([...(graph.get(unit(file)) ?? []), ...others])]);
  }
  return graph;
}

/**
 * The files of `known` that `text` imports in any way, also by `import type` and `import()`, or includes.
 * @param {string} file
 * @param {string} text
 * @param {Set<string>} known
 */
export function targets(file, text, known) {
  const lib = file.startsWith("lib/");
  const pattern = lib ? /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g : /^\s*#\s*include\s+"([^"]+)"/gm;
  /** @param {string} path */
  const candidates = (path) =>
    lib
      ? [normalize(join(dirname(file), path)).replace(/\.js$/, ".ts")]
      : [join("native", path), normalize(join(dirname(file), path))];
  const found = [...text.matchAll(pattern)].map(([, path = ""]) => candidates(path).find((target) => known.has(target)));
  return [...new Set(found.filter((target) => target !== undefined))];
}

/**
 * Circles of the graph, each as the path from a file back to itself; at least one of them if there are several.
 * @param {Map<string, string[]>} imports
 */
export function circles(imports) {
  const done = new Set();
  /** @type {string[]} */
  const way = [];
  /** @type {string[][]} */
  const found = [];
  /** @param {string} file */
  const visit = (file) => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file]);
    if (done.has(file) || way.includes(file)) return;
    way.push(file);
    for (const target of imports.get(file) ?? []) visit(target);
    way.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
  return found;
}
