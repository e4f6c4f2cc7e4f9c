/**
 * build/extended: a copy of the sources to which the examples of docs/extending.md are added exactly as they stand there. Compiling it gives a
 * package of its own; extended.cmake builds the engine that belongs to it. `node test/extending/tree.mjs` writes and compiles it, and says as
 * JSON what was added.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { run } from "../../scripts/ready.mjs";

const root = resolve(import.meta.dirname, "../..");
const tree = join(root, "build", "extended");

/**
 * @typedef {{ path: string, text: string }} NewFile
 * @typedef {{ path: string, after: string, line: string }} NewLine
 */

/** What docs/extending.md adds: new files with their text, and lines that go behind another line of a file. */
function additions() {
  /** @type {NewFile[]} */
  const files = [];
  /** @type {NewLine[]} */
  const lines = [];
  const text = readFileSync(join(root, "docs", "extending.md"), "utf8");
  for (const [, language, block = ""] of text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    const [, path] = /^ ?\/\/ ((?:lib|native)\/\S+)\n/.exec(block) ?? [];
    if (!path) continue;
    const body = block.slice(block.indexOf("\n") + 1);
    if (language !== "diff") files.push({ path, text: body });
    else lines.push(...addedLines(path, body));
  }
  return { files, lines };
}

/**
 * @param {string} path
 * @param {string} block a diff of it
 */
function addedLines(path, block) {
  let after = "";
  /** @type {NewLine[]} */
  const added = [];
  for (const line of block.trimEnd().split("\n")) {
    if (line.startsWith("+")) added.push({ path, after, line: line.slice(1) });
    else after = line.slice(1);
  }
  return added;
}

/**
 * Writes what has changed, so that only that is compiled again.
 * @param {{ files: NewFile[], lines: NewLine[] }} added
 */
function writeTree({ files, lines }) {
  const sources = [
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    ...new Set(lines.map(({ path }) => path)),
    ...filesIn("lib"),
    ...filesIn("scripts"),
  ];
  const texts = new Map(sources.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  for (const { path, text } of files) {
    if (existsSync(join(root, path))) throw new Error(`docs/extending.md adds ${path}, which is there already`);
    texts.set(path, text);
  }
  for (const { path, after, line } of lines) texts.set(path, withLine(texts.get(path) ?? "", path, after, line));
  for (const folder of ["lib", "native", "scripts"]) {
    for (const path of filesIn(folder, tree)) if (!texts.has(path)) rmSync(join(tree, path));
  }
  for (const [path, text] of texts) {
    const file = join(tree, path);
    mkdirSync(dirname(file), { recursive: true });
    if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
  }
  const modules = join(tree, "node_modules");
  if (!existsSync(modules)) symlinkSync(join(root, "node_modules"), modules, "junction");
}

/**
 * @param {string} text
 * @param {string} path
 * @param {string} after
 * @param {string} line
 */
function withLine(text, path, after, line) {
  const parts = text.split(`${after}\n`);
  if (parts.length !== 2)
    throw new Error(`docs/extending.md: ${path} holds the line "${after}" ${parts.length - 1} times, not once`);
  return parts.join(`${after}\n${line}\n`);
}

/** @param {string} folder */
function filesIn(folder, base = root) {
  const top = join(base, folder);
  if (!existsSync(top)) return [];
  const names = readdirSync(top, { recursive: true }).map((name) => join(folder, String(name)).replaceAll("\\", "/"));
  return names.filter((path) => statSync(join(base, path)).isFile());
}

const added = additions();
writeTree(added);
run(process.execPath, [join(tree, "scripts", "compile.mjs")]);
console.log(JSON.stringify(added));
