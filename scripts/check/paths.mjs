/** For `npm run check`: the files that documents and comments name are there, and so is what links point to. */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Where a name in a document may begin: at the root, in the engine's rooms (docs/math.md), or among the tests (docs/python-parity.md). */
const bases = ["", "native/", "test/"];

/**
 * One problem for each name of a file that is not among `files`, whose paths are relative to `root`.
 * @param {string} root
 * @param {string[]} files
 */
export function pathProblems(root, files) {
  return files.flatMap((file) => {
    if (file === "CHANGELOG.md" || !/^(lib|native|scripts|bench)\/.*\.(ts|mjs|cc|h|cu)$|\.md$/.test(file)) return [];
    const text = readFileSync(join(root, file), "utf8");
    const missing = file.endsWith(".md")
      ? [...namesIn(text, files), ...linksIn(text, file, files)]
      : [...text.matchAll(/(?<![\w./-])((?:lib|native|test|scripts|docs|bench)\/[\w/.-]+\.(?:ts|mjs|cc|h|cu|md|py))\b/g)]
          .map(([, path = ""]) => path)
          .filter((path) => !files.includes(path));
    return [...new Set(missing)].map((path) => `${file}: names ${path}, which is not there`);
  });
}

/**
 * Names in backticks that no file has. A name may leave the ending open: `ops/head_product.*`.
 * @param {string} text
 * @param {string[]} files
 */
function namesIn(text, files) {
  const folders = new Set(
    files.flatMap((file) => bases.filter((base) => file.startsWith(base)).map((base) => firstFolder(file, base))),
  );
  return [...text.matchAll(/`([\w-]+(?:\/[\w.*-]+)+)`/g)]
    .map(([, path = ""]) => path)
    .filter((path) => /[.*][^/]*$/.test(path) && folders.has(firstFolder(path, "")))
    .filter((path) => !bases.some((base) => files.some((file) => matches(file, base + path))));
}

/**
 * @param {string} file
 * @param {string} base
 */
function firstFolder(file, base) {
  return file.slice(base.length).split("/")[0];
}

/**
 * @param {string} file
 * @param {string} pattern with * for anything within a name
 */
function matches(file, pattern) {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`).test(file);
}

/**
 * Relative links to what is not there.
 * @param {string} text
 * @param {string} document
 * @param {string[]} files
 */
function linksIn(text, document, files) {
  return [...text.matchAll(/\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map(([, path = ""]) => normalize(join(dirname(document), path)).replace(/\/$/, ""))
    .filter((path) => !files.some((file) => file === path || file.startsWith(`${path}/`)));
}
