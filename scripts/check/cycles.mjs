/** Finds circles of imports and includes among the files of lib/ and native/, for `npm run check`. */
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
  return circles(imports).map((circle) => `${circle[0]}: imports itself: ${circle.join(" -> ")}`);
}

/**
 * The files of `known` that `text` imports in any way (`import type` and `import()` too), or includes.
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
 * Circles of the graph, each as the way from a file back to itself: none if there is none, at least one if there are some.
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
